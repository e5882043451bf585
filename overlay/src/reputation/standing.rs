//! One peer: its evidence, its score, its trust, and what that permits.

use dunlin_session::NodeId;

use super::evidence::{Component, FAULT};
use super::policy::ReputationConfig;
use super::tally::Tally;
use super::trust::Hearsay;
use crate::Instant;
use crate::limits::VIOLATIONS_MAX;
use crate::planted::{self, Bug};

/// Most of what may speak for a peer, in observations: in relaying less, so that nobody can save up
/// good conduct for a day of withholding.
const FAVOUR_MAX: f64 = 30.0;
const RELAY_FAVOUR_MAX: f64 = 8.0;
/// Success adds this part of what is missing to full trust, failure takes this part of what is there.
const BOOST: f64 = 0.05;
const PENALTY: f64 = 0.2;
const HOUR_NANOS: u64 = 3_600_000_000_000;

/// What is known of one peer's conduct.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    tallies: [Tally; 5],
    /// 0 to 1, from our own experience only.
    trust: f64,
    /// Until when both have faded.
    faded_at: Instant,
    /// What others say.
    pub(crate) hearsay: Hearsay,
}

/// A peer's reputation as it is shown.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reputation {
    /// Whose.
    pub peer: NodeId,
    /// 0 to 100; 60 is a newcomer's.
    pub score: u8,
    /// The components behind it, 0 to 100 each, in the order of [`Component::ALL`].
    pub components: [u8; 5],
    /// Whether the consensus component counts: no application has reported any as long as it does not,
    /// and its weight is shared among the others.
    pub counts_consensus: bool,
    /// 0 to 1, what third parties say included.
    pub trust: f64,
    /// The same from our own experience only. They differ by 0.05 at most.
    pub own_trust: f64,
    /// Whether it may be a parent and is pushed to.
    pub may_relay: bool,
    /// Whether the score is at least that of [`ReputationConfig::min_consensus`].
    pub may_take_part: bool,
    /// Whether trust is at least [`ReputationConfig::min_trust_permille`].
    pub is_trusted: bool,
}

fn favour_max(component: Component) -> f64 {
    match component {
        Component::Relay => RELAY_FAVOUR_MAX,
        _ => FAVOUR_MAX,
    }
}

/// Whether a success repairs what is against: not where what is against was proven.
const fn repairs(component: Component) -> bool {
    !matches!(component, Component::Validity | Component::Consensus)
}

const fn index(component: Component) -> usize {
    component as usize
}

/// 0 to 1 as 0 to 100.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range"
)]
fn percent(share: f64) -> u8 {
    (share * 100.0 + 0.5).clamp(0.0, 100.0) as u8
}

/// `base` to the power of a natural number, by multiplication alone.
fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}

impl Standing {
    /// A newcomer.
    pub(crate) fn new(now: Instant, config: &ReputationConfig) -> Self {
        Self {
            tallies: [Tally::default(); 5],
            trust: config.initial_trust(),
            faded_at: now,
            hearsay: Hearsay::default(),
        }
    }

    /// One that was saved, `hours` ago; `None`: something in it is out of range.
    pub(crate) fn restored(
        now: Instant,
        evidence: [(f64, f64); 5],
        trust: f64,
        hours: u64,
        config: &ReputationConfig,
    ) -> Option<Self> {
        if !(0.0..=1.0).contains(&trust) {
            return None;
        }
        let mut standing = Self::new(now, config);
        for (component, saved) in Component::ALL.into_iter().zip(evidence) {
            *standing.tally_mut(component) = Tally::restored(saved, favour_max(component))?;
        }
        standing.trust = trust;
        standing.fade_hours(hours, config);
        Some(standing)
    }

    fn tally(&self, component: Component) -> Tally {
        self.tallies
            .get(index(component))
            .copied()
            .unwrap_or_default()
    }

    fn tally_mut(&mut self, component: Component) -> &mut Tally {
        let [uptime, latency, validity, consensus, relay] = &mut self.tallies;
        match component {
            Component::Uptime => uptime,
            Component::Latency => latency,
            Component::Validity => validity,
            Component::Consensus => consensus,
            Component::Relay => relay,
        }
    }

    /// Counts evidence.
    pub(crate) fn add(&mut self, component: Component, favour: f64, against: f64) {
        let repairs = repairs(component);
        let most = favour_max(component);
        self.tally_mut(component)
            .add(favour, against, most, repairs);
    }

    /// What is for and against in a component, beyond the prior.
    #[cfg(test)]
    pub(crate) fn evidence(&self, component: Component) -> (f64, f64) {
        let tally = self.tally(component);
        (tally.favour, tally.against)
    }

    /// What is for and against in all of them.
    pub(crate) fn all_evidence(&self) -> [(f64, f64); 5] {
        self.tallies.map(|tally| (tally.favour, tally.against))
    }

    /// Success raises trust, failure lowers it; `severity` is 0 to 1.
    pub(crate) fn change_trust(&mut self, success: bool, severity: f64) {
        let severity = severity.clamp(0.0, 1.0);
        if success {
            self.trust += (1.0 - self.trust) * BOOST * severity;
        } else {
            self.trust -= self.trust * PENALTY * severity;
        }
        self.trust = self.trust.clamp(0.0, 1.0);
    }

    /// Trust from our own experience.
    pub(crate) const fn own_trust(&self) -> f64 {
        self.trust
    }

    /// Lets whole hours that have passed fade it.
    pub(crate) fn fade(&mut self, now: Instant, config: &ReputationConfig) {
        let nanos = now.as_nanos().saturating_sub(self.faded_at.as_nanos());
        let hours = nanos / HOUR_NANOS;
        if hours > 0 {
            let until = self.faded_at.as_nanos() + hours * HOUR_NANOS;
            self.faded_at = Instant::from_nanos(until);
            self.fade_hours(hours, config);
        }
    }

    fn fade_hours(&mut self, hours: u64, config: &ReputationConfig) {
        if planted::is(Bug::EvidenceNeverFades) {
            return;
        }
        let keep = 1.0 - f64::from(config.decay_percent) / 2400.0;
        let keep = power(keep, hours);
        for tally in &mut self.tallies {
            tally.fade(keep);
        }
        let keep = power(1.0 - f64::from(config.trust_decay_permille) / 1000.0, hours);
        let initial = config.initial_trust();
        self.trust = initial + (self.trust - initial) * keep;
    }

    /// The score, 0 to 100. The weight of consensus is shared among the others as long as no
    /// application has reported any.
    pub(crate) fn score(&self, config: &ReputationConfig, counts_consensus: bool) -> u8 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for component in Component::ALL {
            if component != Component::Consensus || counts_consensus {
                let weight = f64::from(config.weights.of(component));
                sum += weight * self.tally(component).mean();
                weights += weight;
            }
        }
        if weights > 0.0 {
            percent(sum / weights)
        } else {
            percent(Tally::default().mean())
        }
    }

    /// Whether it may be a parent, and is pushed to.
    pub(crate) fn may_relay(&self, config: &ReputationConfig, counts_consensus: bool) -> bool {
        let relay = percent(self.tally(Component::Relay).mean());
        relay >= config.min_relay_component
            && self.score(config, counts_consensus) >= config.min_relay
    }

    /// Whether it was ever relied upon and brought something.
    pub(crate) fn has_served(&self) -> bool {
        self.tally(Component::Relay).favour > 0.0
    }

    /// Whether it failed so that it stands below a newcomer.
    pub(crate) fn has_failed(&self) -> bool {
        self.tally(Component::Relay).mean() < Tally::default().mean()
    }

    /// Whether it has done here what a promise to be fast is believed for: it has brought something, and
    /// failed so seldom since that it stands no worse than a newcomer.
    pub(crate) fn has_proven_itself(&self) -> bool {
        self.has_served() && !self.has_failed()
    }

    /// Whether so many proven faults are remembered that it is banned. They fade by a tenth a day, on
    /// whatever links they were committed.
    pub(crate) fn is_at_fault(&self) -> bool {
        // A little less, because of what has faded since the first of them.
        let most = f64::from(VIOLATIONS_MAX) - 0.5;
        self.tally(Component::Validity).against >= most * FAULT
    }

    /// What is shown of it.
    pub(crate) fn view(
        &self,
        peer: NodeId,
        config: &ReputationConfig,
        counts_consensus: bool,
        hearsay: f64,
    ) -> Reputation {
        let score = self.score(config, counts_consensus);
        let trust = (self.trust + hearsay).clamp(0.0, 1.0);
        Reputation {
            peer,
            score,
            components: self.tallies.map(|tally| percent(tally.mean())),
            counts_consensus,
            trust,
            own_trust: self.trust,
            may_relay: self.may_relay(config, counts_consensus),
            may_take_part: score >= config.min_consensus,
            is_trusted: trust >= f64::from(config.min_trust_permille) / 1000.0,
        }
    }
}
