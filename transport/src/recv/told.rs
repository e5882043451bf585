//! Which reports of ours have come to the peer, without it having to acknowledge them.
//!
//! An acknowledgement alone need not be acknowledged, so nobody would ever be told that its ranges are known, and each
//! would name the gaps of all before it. But the header of every packet of the peer says which of our packets it has
//! received last (`docs/wire.md` W-ACK-1, W-ACK-8): when that one was a report, what it told is known (RFC 9000
//! §13.2.4 has the receiver send a PING for that now and then).

use alloc::boxed::Box;

use crate::ids::PacketNumber;

/// A row of reports on their way. Nothing is kept of reports while one is.
#[derive(Debug, Default)]
pub(super) struct Told(Option<Box<Row>>);

/// Packets of ours in a row, each of which reports all that was received up to a number, as far as it has room for
/// ranges.
#[derive(Debug)]
struct Row {
    /// Their numbers.
    first: u64,
    last: u64,
    /// Each of them reports what was received up to here.
    largest: u64,
}

impl Told {
    /// Our packet `number` left with a report. False: no row is on its way, and one may begin with it.
    pub(super) fn extend(&mut self, number: PacketNumber) -> bool {
        let Some(row) = &mut self.0 else {
            return false;
        };
        if row.last + 1 == number.0 {
            row.last = number.0;
        }
        true
    }

    /// A row begins with our packet `number`, which reports what was received up to `largest`.
    pub(super) fn begin(&mut self, number: PacketNumber, largest: u64) {
        self.0 = Some(Box::new(Row {
            first: number.0,
            last: number.0,
            largest,
        }));
    }

    /// `number` arrives after larger ones: reports that left before do not tell of it.
    pub(super) fn on_late(&mut self, number: u64) {
        match (&mut self.0, number.checked_sub(1)) {
            (Some(row), Some(below)) => row.largest = row.largest.min(below),
            _ => self.0 = None,
        }
    }

    /// The last of our packets that the peer has received is `number`: up to where it knows all that was
    /// received, if that tells.
    pub(super) fn on_echo(&mut self, number: PacketNumber) -> Option<PacketNumber> {
        let row = self.0.take_if(|row| row.first <= number.0)?;
        (number.0 <= row.last).then_some(PacketNumber(row.largest))
    }

    /// Forgets what is on its way.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(first: u64, count: u64, largest: u64) -> Told {
        let mut told = Told::default();
        assert!(!told.extend(PacketNumber(first)));
        told.begin(PacketNumber(first), largest);
        for number in first + 1..first + count {
            assert!(told.extend(PacketNumber(number)));
        }
        told
    }

    #[test]
    fn each_packet_of_a_row_proves_what_its_first_one_told() {
        for number in 5..=7 {
            let mut told = told(5, 3, 90);
            assert_eq!(
                told.on_echo(PacketNumber(number)),
                Some(PacketNumber(90)),
                "{number}"
            );
            assert_eq!(told.on_echo(PacketNumber(number)), None, "once");
        }
    }

    #[test]
    fn a_packet_before_the_row_says_nothing_and_one_after_it_ends_it() {
        let mut told = told(5, 3, 90);
        assert_eq!(told.on_echo(PacketNumber(4)), None);
        assert!(told.extend(PacketNumber(9)), "8 was no report");
        assert_eq!(told.on_echo(PacketNumber(9)), None);
        assert!(!told.extend(PacketNumber(10)), "the next may begin");
    }

    #[test]
    fn what_comes_late_was_not_told() {
        let mut told = told(5, 1, 90);
        told.on_late(95);
        told.on_late(60);
        told.on_late(70);
        assert_eq!(told.on_echo(PacketNumber(5)), Some(PacketNumber(59)));
        let mut first = self::told(5, 1, 90);
        first.on_late(0);
        assert_eq!(first.on_echo(PacketNumber(5)), None, "nothing is below");
        assert_eq!(size_of::<Told>(), size_of::<usize>());
    }
}
