//! How many files the system lets this process have open: each TCP carrier and each transfer is one.

/// Files of a node besides its peers: sockets, store, logs, what libraries keep.
const OWN: u64 = 64;
/// Files of one peer: its carrier, and the transfers that may run with it.
const PER_PEER: u64 = 5;

/// What so many peers may need.
#[must_use]
pub fn needed(peers: usize) -> u64 {
    u64::try_from(peers)
        .unwrap_or(u64::MAX)
        .saturating_mul(PER_PEER)
        .saturating_add(OWN)
}

/// Raises the soft limit to `needed` if it is lower, as far as the system allows; the advice for the
/// operator when that is not enough.
#[cfg(unix)]
#[must_use]
pub fn allow(needed: u64) -> Option<String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = raised(limit.current, limit.maximum, needed)?;
    let wanted = Rlimit {
        current: Some(raised),
        maximum: limit.maximum,
    };
    let has = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => raised,
        Err(_) => limit.current.unwrap_or(raised),
    };
    (has < needed).then(|| advice(has, needed))
}

/// The same on systems without such a limit.
#[cfg(not(unix))]
#[must_use]
pub fn allow(_needed: u64) -> Option<String> {
    None
}

/// The soft limit to ask for; `None`: the present one is enough.
fn raised(soft: Option<u64>, hard: Option<u64>, needed: u64) -> Option<u64> {
    // Without a limit there is nothing to raise.
    let soft = soft?;
    (soft < needed).then(|| hard.map_or(needed, |hard| needed.min(hard)).max(soft))
}

fn advice(has: u64, needed: u64) -> String {
    format!(
        "this process may have {has} files open, and so many peers may need {needed}: raise the limit (`ulimit -n {needed}`, or LimitNOFILE={needed} in a systemd unit), or lower network.peers.max_connections"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_allowed_and_never_lowered() {
        for (soft, hard, needed, raised_to) in [
            (None, None, 500, None),
            (Some(500), None, 500, None),
            (Some(499), None, 500, Some(500)),
            (Some(100), Some(4096), 500, Some(500)),
            (Some(100), Some(300), 500, Some(300)),
            (Some(300), Some(300), 500, Some(300)),
        ] {
            assert_eq!(raised(soft, hard, needed), raised_to);
        }
        let told = advice(256, needed(256));
        assert!(told.contains("ulimit -n 1344"), "{told}");
    }
}
