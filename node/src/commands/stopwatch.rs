//! Wall clock and processor time of a measurement.

use std::time::Duration;

/// A measurement that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch {
    began: std::time::Instant,
    cpu: Duration,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program measures itself, no protocol decides by it"
)]
impl Stopwatch {
    /// Begins now.
    pub(super) fn start() -> Self {
        Self {
            began: std::time::Instant::now(),
            cpu: process_cpu(),
        }
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Processor time of this process, user and system, since the beginning.
    pub(super) fn cpu(&self) -> Duration {
        process_cpu().saturating_sub(self.cpu)
    }
}

/// Processor time of all threads of this process; zero where the system does not tell.
#[cfg(unix)]
fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
}

#[cfg(not(unix))]
fn process_cpu() -> Duration {
    Duration::ZERO
}
