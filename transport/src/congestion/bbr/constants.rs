//! The constants of draft-ietf-ccwg-bbr-06 §2. Gains and shares are per cent.

use core::time::Duration;

/// StartupPacingGain.
pub(super) const STARTUP_PACING_GAIN: u64 = 277;
/// DrainPacingGain.
pub(super) const DRAIN_PACING_GAIN: u64 = 50;
/// Pacing gain of ProbeBW_DOWN.
pub(super) const DOWN_PACING_GAIN: u64 = 90;
/// Pacing gain of ProbeBW_UP.
pub(super) const UP_PACING_GAIN: u64 = 125;
/// DefaultCwndGain.
pub(super) const WINDOW_GAIN: u64 = 200;
/// Window gain of ProbeBW_UP.
pub(super) const UP_WINDOW_GAIN: u64 = 225;
/// ProbeRTTCwndGain.
pub(super) const PROBE_RTT_WINDOW_GAIN: u64 = 50;
/// PacingMarginPercent: pace so much below the bandwidth.
pub(super) const PACING_MARGIN: u64 = 1;
/// LossThresh: loss in a round trip that is too much.
pub(super) const LOSS_THRESHOLD: u64 = 2;
/// Beta: what is left of a bound after congestion.
pub(super) const BETA: u64 = 70;
/// Headroom: share of the volume bound that is left to others.
pub(super) const HEADROOM: u64 = 15;
/// MinPipeCwnd in packets.
pub(super) const MINIMUM_WINDOW_PACKETS: u64 = 4;
/// Growth of the delivery rate in a round that shows that the pipe is not full.
pub(super) const FULL_PIPE_GROWTH: u64 = 125;
/// Rounds without it that show that the pipe is full.
pub(super) const FULL_PIPE_ROUNDS: u32 = 3;
/// StartupFullLossCnt: separate runs of lost packets in a round that end Startup.
pub(super) const STARTUP_LOSS_RUNS: u32 = 6;
/// Rounds after which Drain ends whatever is in flight.
pub(super) const DRAIN_ROUNDS: u64 = 3;
/// ExtraAckedFilterLen in rounds.
pub(super) const EXTRA_ACKED_ROUNDS: usize = 10;
/// MinRTTFilterLen.
pub(super) const MIN_RTT_FILTER: Duration = Duration::from_secs(10);
/// ProbeRTTInterval.
pub(super) const PROBE_RTT_INTERVAL: Duration = Duration::from_secs(5);
/// ProbeRTTDuration.
pub(super) const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);
/// Least time between bandwidth probes; up to a second more by chance.
pub(super) const PROBE_WAIT: Duration = Duration::from_secs(2);
/// Most rounds between bandwidth probes (§5.3.3.8).
pub(super) const PROBE_ROUNDS_MAX: u64 = 63;
/// Doublings of the growth of the volume bound in one probe.
pub(super) const PROBE_UP_ROUNDS_MAX: u32 = 30;
/// Largest burst in bytes.
pub(super) const SEND_QUANTUM_MAX: u64 = 65_536;
/// A burst is what the pace yields in so long.
pub(super) const SEND_QUANTUM_TIME: Duration = Duration::from_millis(1);
/// What an acknowledgement may wait without a queue being to blame (RFC 9000 §18.2: max_ack_delay).
pub(super) const ACK_DELAY_USUAL: Duration = Duration::from_millis(25);

/// The most that is added to the window on a path within a machine or a room for acknowledgements that come
/// together, in per cent of the bandwidth-delay product. Measured (ADR 0624).
pub(super) const ALLOWANCE_GAIN: u64 = 400;
/// That bound is at least this many bytes: four of the largest batches of either end. Measured (ADR 0624).
pub(super) const ALLOWANCE_FLOOR: u64 = 1 << 20;
