//! Mistakes that can be planted in this crate; see `dunlin_transport::planted`.

dunlin_session::planted_bugs! {
    SeenBeforeVerified, "seen-before-verified", Overlay,
        "A broadcast is marked as seen before its signature is checked.",
        "security review O11; a forged copy suppresses the genuine one";
    SeenForgetsTooSoon, "seen-forgets-too-soon", Overlay,
        "What is evicted from the set of seen broadcasts may be delivered again.",
        "bounded deduplication without a floor";
    HopsNotCounted, "hops-not-counted", Overlay,
        "A relayed broadcast carries the hop count it came with.",
        "security review O10; time to live that never falls";
    RelayedBeyondLimit, "relayed-beyond-limit", Overlay,
        "A broadcast at its hop limit is relayed once more.",
        "IP TTL off by one";
    SentBackToSender, "sent-back-to-sender", Overlay,
        "A relay also sends to the peer that a broadcast came from.",
        "split horizon (RFC 2453 §3.4.3)";
    DuplicatesNotPruned, "duplicates-not-pruned", Overlay,
        "Whoever gets a second copy of a broadcast does not say so: trees stay floods.",
        "Plumtree §3.5";
    NothingAnnounced, "nothing-announced", Overlay,
        "Neighbours that are not pushed a broadcast do not hear of it.",
        "Plumtree §3.4, lazy push";
    MissingNotAskedFor, "missing-not-asked-for", Overlay,
        "What was announced and does not come is never asked for.",
        "Plumtree §3.6, graft";
    NewLinkNotCompared, "new-link-not-compared", Overlay,
        "Neighbours of a new link do not compare what they have.",
        "a node that was away misses what was sent meanwhile";
    DifferencesIgnored, "differences-ignored", Overlay,
        "What a comparison of sets shows to be missing is not fetched.",
        "anti-entropy that repairs nothing";
    SilenceNotNoticed, "silence-not-noticed", Overlay,
        "A peer that does not answer counts as a peer until its link ends.",
        "half-open links; iroh-gossip without an oracle";
    OwnDelivered, "own-broadcast-delivered", Overlay,
        "A node that was restarted delivers what it sent before to its application.",
        "echo of one's own messages";
    OlderRecordAccepted, "older-record-accepted", Overlay,
        "A record replaces a newer one of the same node.",
        "replay of address records";
    RecordOfAnotherPeer, "record-of-another-peer", Overlay,
        "A hello may carry a record that another node signed.",
        "libp2p RUSTSEC-2022-0009";
    UnsolicitedPeersBelieved, "unsolicited-peers-believed", Overlay,
        "An answer that nobody asked for teaches peers.",
        "security review O4; address poisoning";
    RequestIdReused, "request-id-reused", Overlay,
        "Every request has the same number.",
        "DNS transaction numbers";
    DialBackoffNeverGrows, "dial-backoff-never-grows", Overlay,
        "The delay after a failed dial stays what it was at first.",
        "reconnect storms";
    DialSlotLeaks, "dial-slot-leaks", Overlay,
        "A dial that failed keeps its place among those under way.",
        "connection-slot leaks";
    PingNeverMissed, "ping-never-missed", Overlay,
        "A PING without an answer is not counted.",
        "half-open links";
    WithheldNotCounted, "withheld-not-counted", Overlay,
        "A parent that does not push is not blamed.",
        "free riding; GossipSub v1.1 P3 switched off";
    BrokenPromiseForgiven, "broken-promise-forgiven", Overlay,
        "Who announces and does not bring is not blamed.",
        "announcements without the message (GossipSub v1.1 P7)";
    ParentNeverExcused, "parent-never-excused", Overlay,
        "A parent that lacked a broadcast itself is blamed for not pushing it.",
        "honest nodes below a withholder (ADR 0320)";
    HearsayMovesScores, "hearsay-moves-scores", Overlay,
        "What others say of a peer counts as evidence of its relaying.",
        "EigenTrust under slander; seed P";
    HearsayUnbounded, "hearsay-unbounded", Overlay,
        "What others say moves trust as far as they like.",
        "seed P: a recommendation without a cap";
    EvidenceNeverFades, "evidence-never-fades", Overlay,
        "Evidence counts for ever.",
        "decay that does nothing";
}
