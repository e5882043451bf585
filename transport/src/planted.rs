//! Mistakes that can be planted in this crate, so that the laboratory can be judged by what it
//! finds (ADR 0720).
//!
//! Each [`Bug`] is one realistic slip of one or a few lines, at the place where somebody would make
//! it. Without the feature `planted-bugs` the question [`is`] is the constant `false` and the
//! compiler drops the slip; with it, one bug at a time is chosen for the whole process. The feature
//! is for tests of `dunlin-lab`: the program does not build with it.
//!
//! [`planted_bugs`] makes the same list for the crates above this one.

use core::fmt;

pub use crate::planted_bugs;

/// Whether this crate was built with mistakes to choose from.
pub const ENABLED: bool = cfg!(feature = "planted-bugs");

/// What part of a protocol a mistake is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// What is acknowledged, and what an acknowledgement is believed.
    Acknowledgement,
    /// When packets count as lost, and what the window does then.
    LossRecovery,
    /// Putting bytes in order.
    Reassembly,
    /// Credit.
    FlowControl,
    /// Opening, ending and scheduling streams.
    Streams,
    /// Whole messages and datagrams.
    Messages,
    /// The end of a connection.
    Closing,
    /// Deadlines.
    Timers,
    /// Packet numbers and the replay window.
    Numbering,
    /// Who the peer is, and the state before that is known.
    Handshake,
    /// Keys, nonces, masks.
    Protection,
    /// A new address of a peer.
    Migration,
    /// Bytes to an address that has not been proven.
    Amplification,
    /// Peers and gossip.
    Overlay,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acknowledgement => "acknowledgement",
            Self::LossRecovery => "loss recovery",
            Self::Reassembly => "reassembly",
            Self::FlowControl => "flow control",
            Self::Streams => "streams",
            Self::Messages => "messages",
            Self::Closing => "closing",
            Self::Timers => "timers",
            Self::Numbering => "numbering",
            Self::Handshake => "handshake",
            Self::Protection => "protection",
            Self::Migration => "migration",
            Self::Amplification => "amplification",
            Self::Overlay => "overlay",
        })
    }
}

/// What the laboratory's table says about a bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name for ever, in kebab-case.
    pub name: &'static str,
    /// The part of the protocol.
    pub class: Class,
    /// What goes wrong, in a sentence.
    pub what: &'static str,
    /// The advisory, specification or lore it stems from.
    pub origin: &'static str,
}

/// Makes a crate's `Bug`, with `is`, `select` and the catalogue.
///
/// Each line: variant, stable name, [`Class`], what goes wrong, where the idea is from.
#[macro_export]
macro_rules! planted_bugs {
    ($($variant:ident, $name:literal, $class:ident, $what:literal, $origin:literal;)+) => {
        /// A mistake that can be planted in this crate.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Bug {
            $(#[doc = $what] $variant,)+
        }

        /// Whether `bug` is the chosen one.
        #[cfg(not(feature = "planted-bugs"))]
        #[inline]
        #[must_use]
        pub const fn is(_: Bug) -> bool {
            false
        }

        #[cfg(feature = "planted-bugs")]
        pub use catalogue::{is, select};

        #[cfg(feature = "planted-bugs")]
        mod catalogue {
            use core::sync::atomic::{AtomicUsize, Ordering};

            use super::Bug;
            use $crate::planted::{Class, Entry};

            /// One more than the chosen bug's place in [`Bug::ALL`]; 0: none.
            static SELECTED: AtomicUsize = AtomicUsize::new(0);

            impl Bug {
                /// Every bug of this crate.
                pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

                /// What the table says about it.
                #[must_use]
                pub const fn entry(self) -> &'static Entry {
                    match self {
                        $(Self::$variant => &Entry {
                            name: $name,
                            class: Class::$class,
                            what: $what,
                            origin: $origin,
                        },)+
                    }
                }
            }

            /// Chooses a bug for the whole process; None: the crate is as it should be.
            pub fn select(bug: Option<Bug>) {
                SELECTED.store(bug.map_or(0, |bug| bug as usize + 1), Ordering::SeqCst);
            }

            /// Whether `bug` is the chosen one.
            #[must_use]
            pub fn is(bug: Bug) -> bool {
                SELECTED.load(Ordering::Relaxed) == bug as usize + 1
            }
        }
    };
}

planted_bugs! {
    AckOfUnsentAccepted, "ack-of-unsent-accepted", Acknowledgement,
        "An acknowledgement of a packet that was never sent is believed.",
        "quiche CVE-2025-4820, RFC 9000 §13.1";
    AckRangeOneTooLow, "ack-range-one-too-low", Acknowledgement,
        "A decoded acknowledgement range reaches one packet too far down.",
        "quiche CVE-2025-4821, RFC 9000 §19.3.1";
    AckGapOneTooShort, "ack-gap-one-too-short", Acknowledgement,
        "The gap between two encoded ranges is written one too small.",
        "RFC 9000 §19.3.1 (the gap counts from zero)";
    AckRunCrossesWord, "ack-run-crosses-word", Acknowledgement,
        "A missing packet at the edge of a bitmap word is reported as received.",
        "RFC 6479 bitmaps, word edges";
    AckTimerNeverArmed, "ack-timer-never-armed", Acknowledgement,
        "A lone packet starts no acknowledgement timer.",
        "RFC 9000 §13.2.1";
    AckDelayBelowMinimum, "ack-delay-below-minimum", Acknowledgement,
        "The peer's delay is subtracted from a sample even when that goes below the least round trip.",
        "RFC 9002 §5.3";
    EcnCountsRegress, "ecn-counts-regress", Acknowledgement,
        "Mark counts of an overtaken acknowledgement are taken for new marks.",
        "RFC 9000 §13.4.2.1";
    AckElicitsAck, "ack-elicits-ack", Acknowledgement,
        "A packet that only acknowledges is acknowledged in turn.",
        "RFC 9000 §13.2.1 (acknowledgement loops)";
    RetransmissionSameNumber, "retransmission-same-number", Numbering,
        "A probe goes out under the number of the packet that it repeats: the nonce is used twice.",
        "TCP habit; RFC 9001 §5.3";
    AckOnlyTakesNoNumber, "ack-only-takes-no-number", Numbering,
        "A packet without anything to acknowledge does not advance the number.",
        "RFC 9000 §12.3";
    NumberNeverWrapsUp, "number-never-wraps-up", Numbering,
        "A truncated number is never moved up across 2^32.",
        "RFC 9000 appendix A.3";
    ReplayWindowWordEdge, "replay-window-word-edge", Numbering,
        "The last number of an earlier bitmap word always counts as new.",
        "WireGuard and IPsec replay windows, RFC 6479";
    MarkedBeforeAuthentication, "marked-before-authentication", Numbering,
        "A packet's number is marked as received before the packet is opened.",
        "snow RUSTSEC-2024-0011";
    ReplayWindowForgets, "replay-window-forgets", Numbering,
        "Only the last 64 numbers are remembered; what is older counts as new.",
        "replay windows narrower than the reordering they admit";
    LossOfNewerPackets, "loss-of-newer-packets", LossRecovery,
        "Packets newer than the largest acknowledged are declared lost as well.",
        "RFC 9002 §6.1";
    ReorderingByOneIsLoss, "reordering-by-one-is-loss", LossRecovery,
        "One packet that overtakes another is enough to declare it lost.",
        "RFC 9002 §6.1.1 (packet threshold 3)";
    InFlightLeaksOnLoss, "in-flight-leaks-on-loss", LossRecovery,
        "Bytes of packets declared lost are never taken off the bytes in flight.",
        "classic sender stall";
    WindowBelowMinimum, "window-below-minimum", LossRecovery,
        "Halving knows no minimum, so that the window ends below one packet.",
        "RFC 9002 §7.2";
    HalvesPerPass, "halves-per-loss-pass", LossRecovery,
        "Every pass that finds losses halves the window, not every round trip.",
        "RFC 6582, RFC 9002 §7.3.2";
    CollapseNeverLeaves, "collapse-never-leaves", LossRecovery,
        "After persistent congestion the window never grows again.",
        "RFC 9002 §7.6.2";
    UndoAppliedTwice, "undo-applied-twice", LossRecovery,
        "A reduction that was a mistake is given back once for every packet.",
        "Linux undo_retrans, RFC 4015";
    UndoWithoutEvidence, "undo-without-evidence", LossRecovery,
        "One spurious loss restores the window though others of the period were real.",
        "RFC 4015, Linux undo_retrans";
    RttFromLastSent, "rtt-from-last-sent", LossRecovery,
        "A sample is measured from the last packet sent instead of the acknowledged one.",
        "Karn's ambiguity, RFC 6298";
    SendBufferFreedEarly, "send-buffer-freed-early", LossRecovery,
        "An acknowledgement above a gap frees the bytes in the gap too.",
        "RFC 793 cumulative thinking with selective ranges";
    LossTimerForgotten, "loss-timer-forgotten", LossRecovery,
        "A packet below the largest acknowledged, not yet old enough, arms no loss timer.",
        "RFC 9002 §6.1.2";
    ProbeTimerOnlyOnce, "probe-timer-only-once", Timers,
        "The probe timer is not armed again after it went off.",
        "RFC 9002 §6.2.1";
    ProbeNotBackedOff, "probe-not-backed-off", Timers,
        "Probe timeouts in a row do not double.",
        "RFC 9002 §6.2.1";
    ProbeBackoffNeverReset, "probe-backoff-never-reset", Timers,
        "The back-off of the probe timer survives acknowledgements.",
        "RFC 9002 §6.2.1";
    IdleRestartedByGarbage, "idle-restarted-by-garbage", Timers,
        "Packets that do not open keep a dead connection alive.",
        "RFC 9000 §10.1";
    IdleRestartedBySending, "idle-restarted-by-sending", Timers,
        "What we send keeps a dead connection alive.",
        "RFC 9000 §10.1";
    ReassemblyBoundOffByOne, "reassembly-bound-off-by-one", Reassembly,
        "One message more than the limit is taken into reassembly.",
        "quinn-proto RUSTSEC-2026-0185, lsquic CVE-2025-54939";
    OverlapWritesTwice, "overlap-writes-twice", Reassembly,
        "A second copy of a byte replaces the first.",
        "IP fragment overlap (teardrop), RFC 9000 §2.2";
    OverlapCountsTwice, "overlap-counts-twice", Reassembly,
        "A fragment that came before counts against the window again.",
        "RFC 9000 §4.1";
    GapCreditedAsReceived, "gap-credited-as-received", Reassembly,
        "The first range above a gap is taken for the continuation.",
        "quiche CVE-2025-4821-like bookkeeping";
    FollowerNotCompared, "follower-not-compared", Reassembly,
        "A packet of a train is put behind the one before it, whatever its header says.",
        "receive offload that joins unlike segments (GRO); ADR 0623";
    EndBeforeGapIsFilled, "end-before-gap-is-filled", Reassembly,
        "A stream whose end is known ends when nothing is readable, gap or not.",
        "RFC 9000 §3.2";
    WindowFieldJumpsBack, "window-field-jumps-back", FlowControl,
        "An older window in a header is restored as a far higher limit.",
        "RFC 7323 §2.3, serial arithmetic of RFC 1982";
    StreamCreditLost, "stream-credit-lost", FlowControl,
        "A lost MAX_STREAM_DATA is not told again.",
        "RFC 9000 §13.3; the zero-window deadlock of RFC 9293";
    MaxDataLost, "max-data-lost", FlowControl,
        "A lost MAX_DATA is not told again.",
        "RFC 9000 §13.3";
    ResetKeepsCredit, "reset-keeps-credit", FlowControl,
        "Bytes of a stream that was reset or stopped are never given back to the connection.",
        "RFC 9000 §4.5, CVE-2019-9517-like stalls";
    StreamLimitIgnored, "stream-limit-ignored", FlowControl,
        "New bytes ignore the stream's limit and heed the connection's only.",
        "RFC 9000 §4.1";
    FinalSizeNotChecked, "final-size-not-checked", Streams,
        "A stream may end at one size and then at another.",
        "RFC 9000 §4.5";
    MaxStreamsOffByOne, "max-streams-off-by-one", Streams,
        "The peer may open one stream more than it was granted.",
        "RFC 9000 §4.6";
    StreamSlotLeaksOnReset, "stream-slot-leaks-on-reset", Streams,
        "A stream that the peer reset never makes room for another.",
        "HTTP/2 rapid reset bookkeeping (CVE-2023-44487)";
    LowerStreamsNotOpened, "lower-streams-not-opened", Streams,
        "A stream that overtakes lower ones does not open them.",
        "RFC 9000 §3.2";
    LostEndNotRepeated, "lost-end-not-repeated", Streams,
        "The end of a stream is not sent again when its packet is lost.",
        "classic lost FIN";
    LostResetNotRepeated, "lost-reset-not-repeated", Streams,
        "RESET_STREAM is not sent again when its packet is lost.",
        "RFC 9000 §13.3";
    OneStreamStarvesOthers, "one-stream-starves-others", Streams,
        "The stream that has just sent goes to the front of the queue.",
        "fair queueing; HTTP/2 priority starvation";
    WriterNeverWoken, "writer-never-woken", Streams,
        "A writer that found the buffer full is not told of new room.",
        "lost wake-up";
    DuplicateAfterWindowSlides, "duplicate-after-window-slides", Messages,
        "Only the last 16 message numbers are remembered as delivered.",
        "at-most-once delivery with a sliding window";
    FragmentOfOtherTotal, "fragment-of-other-total", Messages,
        "A fragment that names another count than the first is accepted.",
        "fragment total unbounded (seed code), IP fragment attacks";
    LastFragmentNotRepeated, "last-fragment-not-repeated", Messages,
        "The last fragment of a message is not sent again when it is lost.",
        "off-by-one in a retransmission bitmap";
    CloseBeforeDelivered, "close-before-delivered", Closing,
        "FIN leaves while messages are unacknowledged.",
        "RFC 9293 §3.6, linger semantics";
    FinAckLostIsTimeout, "fin-ack-lost-is-timeout", Closing,
        "Of a graceful end just the echo is missing, and the application hears of a timeout.",
        "found here by seed 328";
    TimeWaitSkipped, "time-wait-skipped", Closing,
        "Who answers a FIN forgets the connection at once.",
        "RFC 9293 §3.4.1, RFC 9000 §10.2";
    EventAfterClosed, "event-after-closed", Closing,
        "Events go on after the one that says it is over.",
        "found here by seed 20";
    PlainResetBelieved, "plain-reset-believed", Closing,
        "An RST without protection ends a sealed connection.",
        "RST injection (RFC 5961), RFC 9000 §10.3";
    PathWithoutChallenge, "path-without-challenge", Migration,
        "The newest packet's source becomes the path without proof.",
        "RFC 9000 §9.3";
    AnyPongProvesPath, "any-pong-proves-path", Migration,
        "A PONG with another token proves the new path too.",
        "RFC 9000 §8.2";
    CandidateBytesNotCounted, "candidate-bytes-not-counted", Amplification,
        "What is sent to an unproven address is not counted.",
        "RFC 9000 §8.1, §9.3.1";
    PongsWithoutBound, "pongs-without-bound", Amplification,
        "PINGs queue answers without limit.",
        "quic-go CVE-2023-49295";
    HalfOpenNeverExpires, "half-open-never-expires", Handshake,
        "A half-open handshake is not forgotten when its time is over.",
        "SYN flood (RFC 4987)";
    ForgedConfirmKillsHandshake, "forged-confirm-kills-handshake", Handshake,
        "A confirm message that is wrong ends the half-open handshake it names.",
        "snow RUSTSEC-2024-0011; TCP half-open kills";
    SynRetransmissionNewState, "syn-retransmission-new-state", Handshake,
        "A repeated SYN makes another half-open handshake.",
        "RFC 4987; WireGuard handshake state";
}
