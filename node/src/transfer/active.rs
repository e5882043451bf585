//! Which transfers are running, so that one that starts again takes over from its dead self.
//!
//! A sender that was killed leaves a connection behind that only a timeout ends. When it comes
//! back, the new transfer of the same files from the same peer stops the old one and waits until
//! that has let go of its files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::message::AbortCode;
use super::receive::Stopper;

/// The running transfers, by who sends what.
#[derive(Clone, Debug)]
pub struct ActiveTransfers<K: Ord> {
    running: Arc<Mutex<BTreeMap<K, Running>>>,
}

impl<K: Ord> Default for ActiveTransfers<K> {
    fn default() -> Self {
        Self {
            running: Arc::new(Mutex::new(BTreeMap::new())),
        }
    }
}

#[derive(Clone, Debug)]
struct Running {
    number: u64,
    stopper: Stopper,
    // Closed when the claim is dropped.
    ended: watch::Receiver<()>,
}

impl Running {
    async fn stop(mut self, code: AbortCode) {
        self.stopper.stop(code);
        // An error says that the claim is gone, which is what is waited for.
        while self.ended.changed().await.is_ok() {}
    }
}

/// The right to write the files of a transfer, until it is dropped.
#[derive(Debug)]
pub struct Claim<K: Ord> {
    running: Arc<Mutex<BTreeMap<K, Running>>>,
    key: K,
    number: u64,
    _ended: watch::Sender<()>,
}

impl<K: Ord> Drop for Claim<K> {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // A successor may have the key by now.
        if running
            .get(&self.key)
            .is_some_and(|current| current.number == self.number)
        {
            running.remove(&self.key);
        }
    }
}

impl<K: Ord + Clone> ActiveTransfers<K> {
    /// Takes over `key`: the transfer that has it is stopped and waited for.
    pub async fn claim(&self, key: K) -> (Claim<K>, Stopper) {
        let stopper = Stopper::default();
        let (ended, watching) = watch::channel(());
        let (number, before) = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let number = running.get(&key).map_or(0, |before| before.number + 1);
            let now = Running {
                number,
                stopper: stopper.clone(),
                ended: watching,
            };
            (number, running.insert(key.clone(), now))
        };
        let claim = Claim {
            running: Arc::clone(&self.running),
            key,
            number,
            _ended: ended,
        };
        if let Some(before) = before {
            before.stop(AbortCode::Superseded).await;
        }
        (claim, stopper)
    }

    /// Stops all of them and waits for their ends.
    pub async fn stop_all(&self, code: AbortCode) {
        let all: Vec<Running> = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.values().cloned().collect()
        };
        for running in &all {
            running.stopper.stop(code);
        }
        for running in all {
            running.stop(code).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_successor_stops_its_predecessor_and_waits_for_it() {
        let active = ActiveTransfers::default();
        let (first, stopper) = active.claim("a").await;
        let (other, _keep) = active.claim("b").await;
        let successor = tokio::spawn({
            let active = active.clone();
            async move { active.claim("a").await }
        });
        assert_eq!(stopper.stopped().await, AbortCode::Superseded);
        assert!(!successor.is_finished(), "the files are still open");
        drop(first);
        let (second, stopper) = successor.await.unwrap();
        drop(other);
        // The end of the first must not have freed the key of the second.
        let third = tokio::spawn(async move { active.claim("a").await.0 });
        assert_eq!(stopper.stopped().await, AbortCode::Superseded);
        drop(second);
        third.await.unwrap();
    }

    #[tokio::test]
    async fn stopping_all_waits_for_each() {
        let active = ActiveTransfers::default();
        let (claim, stopper) = active.claim(1).await;
        let holder = tokio::spawn(async move {
            let code = stopper.stopped().await;
            drop(claim);
            code
        });
        active.stop_all(AbortCode::Stopped).await;
        assert_eq!(holder.await.unwrap(), AbortCode::Stopped);
    }
}
