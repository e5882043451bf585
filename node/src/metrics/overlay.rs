//! The counters and sizes of the overlay: for metrics, and for `dunlin stats`.

use dunlin_overlay::OverlayStats;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{as_i64, counter};

/// Whether a number is a size or a count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A size as of now.
    Now,
    /// A count since the start.
    Total,
}

/// One number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The name of its field in [`OverlayStats`].
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What it counts.
    pub help: &'static str,
    /// The number.
    pub value: u64,
}

macro_rules! rows {
    ($($name:ident: $kind:ident, $help:literal;)+) => {
        /// Every number of `stats`, sizes and counts as they come there.
        #[must_use]
        pub fn rows(stats: &OverlayStats) -> Vec<Row> {
            vec![$(Row {
                name: stringify!($name),
                kind: Kind::$kind,
                help: $help,
                value: u64::try_from(stats.$name).unwrap_or(u64::MAX),
            },)+]
        }
    };
}

rows! {
    connected: Now, "Peers with which messages flow";
    handshaking: Now, "Peers with a link whose hellos are not finished";
    known: Now, "Known peers";
    in_book: Now, "Known peers with a place in the address book";
    hints: Now, "Addresses that are known without an ID";
    dialling: Now, "Dials under way";
    seen: Now, "Broadcasts remembered for deduplication";
    silent: Now, "Connected peers that have not answered for a few round trips";
    held: Now, "Broadcasts held for neighbours";
    held_bytes: Now, "Their bytes";
    origins: Now, "Origins with a tree";
    wanted: Now, "Broadcasts that were announced and have not come";
    validating: Now, "Broadcasts that wait for a verdict";
    dials: Total, "Dials started";
    broadcasts_sent: Total, "Broadcasts of ours";
    broadcasts_received: Total, "Broadcasts of others, each counted once";
    broadcasts_duplicate: Total, "Further copies of them";
    copies_relayed: Total, "Copies passed on";
    broadcasts_stale: Total, "Broadcasts dropped for their age";
    broadcasts_invalid: Total, "Broadcasts that broke a rule";
    broadcasts_over_rate: Total, "Broadcasts dropped for their origin's rate";
    broadcasts_over_share: Total, "Broadcasts passed on only where there was room, because more than a share came";
    surplus_withheld: Total, "Broadcasts not pushed for this, and left to comparisons";
    validations_refused: Total, "Broadcasts of which nothing was kept because too many wait for a verdict";
    broadcasts_not_accepted: Total, "Broadcasts that the application rejected or ignored, or did not judge in time";
    announced: Total, "Announcements of broadcasts sent";
    asked_for: Total, "Broadcasts asked for";
    promises_broken: Total, "Of these, the ones that did not come in time from who had announced them";
    served: Total, "Broadcasts brought to neighbours that asked";
    announcements_ignored: Total, "Announcements not remembered for lack of room";
    prunes_sent: Total, "Links taken out of an origin's tree";
    grafts_sent: Total, "Links taken in for being shorter, or in place of a lost one";
    comparisons: Total, "Comparisons of sets begun";
    comparisons_refused: Total, "Messages of comparisons not answered for their sender's rate";
    differences: Total, "Broadcasts found missing here by comparisons";
    silences: Total, "Times that a peer fell silent";
    records_learned: Total, "Records of peers taken in";
    records_refused: Total, "Records not taken in: invalid, too old, known, or no room";
    exchange_refused: Total, "Questions for peers not answered for their rate";
    unsolicited: Total, "Answers that nobody had asked for";
    dropped_for_rate: Total, "Messages dropped for their sender's rate";
    early_dropped: Total, "Messages dropped because the hello was not finished and the queue was full";
    unknown_types: Total, "Messages of a type that this version does not know";
    unhandled: Total, "Messages to names or of kinds that are not handled here";
    relayed: Total, "Messages passed on for neighbours";
    relays_refused: Total, "Messages to be passed on, or passed on to us, dropped for their sender's rate";
    violations: Total, "Proven faults of peers";
    audits: Total, "Broadcasts asked for again, to see whether they come";
    barred: Total, "Times that a neighbour lost its places for its conduct";
    trust_refused: Total, "Messages about trust not read or answered for their sender's rate";
    evictions: Total, "Peers that had to go for others";
    actions_dropped: Total, "Actions dropped because the driver did not poll";
    events_dropped: Total, "Events dropped because the application did not poll";
}

/// Adds every number of `stats` as `dunlin_overlay_…`.
pub(super) fn register(registry: &mut Registry, stats: &OverlayStats) {
    let registry = registry.sub_registry_with_prefix("overlay");
    for row in rows(stats) {
        match row.kind {
            Kind::Now => {
                let gauge: Gauge = Gauge::default();
                gauge.set(as_i64(row.value));
                registry.register(row.name, row.help, gauge);
            }
            Kind::Total => registry.register(row.name, row.help, counter(row.value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_of_the_overlay_is_forgotten() {
        let stats = OverlayStats::default();
        let named: Vec<_> = rows(&stats).iter().map(|row| row.name.to_owned()).collect();
        let debug = format!("{stats:?}");
        let inside = debug.split_once('{').unwrap().1;
        let fields: Vec<_> = inside
            .trim_end_matches('}')
            .split(',')
            .filter_map(|field| field.split_once(':'))
            .map(|(name, _)| name.trim().to_owned())
            .collect();
        assert_eq!(named, fields);
    }
}
