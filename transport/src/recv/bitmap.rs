//! One bit for each packet number of the replay window.
//!
//! A connection that does nothing needs no kibibyte for it: the words of such a window are nearly all
//! alike, and are kept as runs.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::limits::REPLAY_WINDOW_PACKETS;
use crate::rest::Rest;

const WORDS: usize = (REPLAY_WINDOW_PACKETS / 64) as usize;
/// More runs than this take nearly as much room as the words, and are slow to search.
const RUNS_MAX: usize = 16;

/// Bit `n % REPLAY_WINDOW_PACKETS` for number `n`.
#[derive(Debug)]
pub(super) struct Bitmap(Form);

#[derive(Debug)]
enum Form {
    Words(Box<[u64; WORDS]>),
    /// Equal words: where the run ends (exclusive), and the word.
    Runs(Box<[(usize, u64)]>),
}

impl Bitmap {
    /// All bits are zero.
    pub(super) fn new() -> Self {
        Self(Form::Runs(Box::new([(WORDS, 0)])))
    }

    /// Which word the bit of `number` is in, and which of its bits it is.
    fn place(number: u64) -> (usize, u64) {
        let position = number % REPLAY_WINDOW_PACKETS;
        (usize::try_from(position / 64).unwrap_or(0), position % 64)
    }

    /// The 64 bits that the bit of `number` is one of.
    pub(super) fn word(&self, number: u64) -> u64 {
        let (index, _) = Self::place(number);
        match &self.0 {
            Form::Words(words) => words[index],
            Form::Runs(runs) => {
                let run = runs.iter().find(|(end, _)| index < *end);
                run.map_or(0, |(_, word)| *word)
            }
        }
    }

    /// The bit of `number`.
    pub(super) fn get(&self, number: u64) -> bool {
        self.word(number) >> (number % 64) & 1 == 1
    }

    /// Sets the bit of `number`.
    pub(super) fn set(&mut self, number: u64) {
        let (index, bit) = Self::place(number);
        self.words()[index] |= 1 << bit;
    }

    /// Sets the bits of `count` numbers from `first` on.
    pub(super) fn set_run(&mut self, first: u64, count: u64) {
        let words = self.words();
        let (mut number, end) = (first, first + count);
        while number < end {
            let (index, bit) = Self::place(number);
            let here = (64 - bit).min(end - number);
            words[index] |= u64::MAX >> (64 - here) << bit;
            number += here;
        }
    }

    /// Clears the bit of `number`.
    pub(super) fn clear(&mut self, number: u64) {
        let (index, bit) = Self::place(number);
        self.words()[index] &= !(1 << bit);
    }

    /// Clears all bits.
    pub(super) fn clear_all(&mut self) {
        self.words().fill(0);
    }

    #[inline]
    fn words(&mut self) -> &mut [u64; WORDS] {
        if matches!(self.0, Form::Runs(_)) {
            self.wake();
        }
        match &mut self.0 {
            Form::Words(words) => words,
            Form::Runs(_) => unreachable!("runs became words above"),
        }
    }

    /// Runs become words.
    #[cold]
    fn wake(&mut self) {
        if let Form::Runs(runs) = &self.0 {
            let mut words = Box::new([0; WORDS]);
            let mut start = 0;
            for (end, word) in runs {
                words[start..*end].fill(*word);
                start = *end;
            }
            self.0 = Form::Words(words);
        }
    }
}

impl Rest for Bitmap {
    fn rest(&mut self) {
        let Form::Words(words) = &self.0 else {
            return;
        };
        let mut runs: Vec<(usize, u64)> = Vec::with_capacity(RUNS_MAX);
        for (index, word) in words.iter().enumerate() {
            if let Some((end, _)) = runs.last_mut().filter(|(_, last)| last == word) {
                *end = index + 1;
            } else if runs.len() < RUNS_MAX {
                runs.push((index + 1, *word));
            } else {
                return;
            }
        }
        self.0 = Form::Runs(runs.into_boxed_slice());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_resting(bitmap: &Bitmap) -> bool {
        matches!(bitmap.0, Form::Runs(_))
    }

    proptest! {
        #[test]
        fn resting_changes_no_bit(ranges in proptest::collection::vec((0u64..8_192, 1u64..900), 0..12)) {
            let (mut bitmap, mut model) = (Bitmap::new(), [false; 8_192]);
            for (start, length) in ranges {
                for number in start..start + length {
                    bitmap.set(number);
                    model[usize::try_from(number % 8_192).unwrap()] = true;
                }
                bitmap.rest();
                prop_assert!((0..).zip(&model).all(|(number, bit)| bitmap.get(number) == *bit));
                bitmap.clear(start + 1);
                model[usize::try_from((start + 1) % 8_192).unwrap()] = false;
                prop_assert!((0..).zip(&model).all(|(number, bit)| bitmap.get(number) == *bit));
            }
        }
    }

    #[test]
    fn many_different_words_stay_as_they_are() {
        let mut bitmap = Bitmap::new();
        assert!(is_resting(&bitmap));
        for number in (0..7 * 128).step_by(128) {
            bitmap.set(number);
        }
        bitmap.rest();
        assert!(is_resting(&bitmap), "fifteen runs");
        bitmap.set(7 * 128);
        bitmap.set(8 * 128);
        bitmap.rest();
        assert!(!is_resting(&bitmap), "seventeen or more");
        bitmap.clear_all();
        bitmap.rest();
        assert!(is_resting(&bitmap));
    }
}
