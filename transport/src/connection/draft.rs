//! A packet under construction.

use alloc::vec::Vec;

use super::contents::Contents;
use crate::wire::frame::Frame;
use crate::wire::{Header, frame};

/// Bytes of padding that a packet may get to be as long as the others of its batch. A guess: more
/// than the overhead that a fragment reserves.
const FILL_UP_MAX: usize = 64;
/// A packet under construction.
pub(super) struct Draft {
    pub(super) header: Header,
    /// Frames of its extension block.
    pub(super) frames: Vec<u8>,
    pub(super) contents: Contents,
    pub(super) ack_eliciting: bool,
    /// Bytes of data and frames together that fit, the length field not included.
    pub(super) room: usize,
    /// It ends a message or a stream.
    pub(super) ends: bool,
}

impl Draft {
    /// Bytes of data that still fit in front of the frames.
    pub(super) const fn data_room(&self, data: usize) -> usize {
        self.room.saturating_sub(data + self.frames.len())
    }

    /// Asks for an acknowledgement at once, if it is to be acknowledged and there is room for that.
    pub(super) fn ask_for_answer(&mut self, data: usize) {
        if self.ack_eliciting && self.data_room(data) >= frame::IMMEDIATE_ACK_LEN {
            Frame::ImmediateAck.emit(&mut self.frames);
        }
    }

    /// Pads a packet that is all but full, so that it can be followed by others in a batch: a few
    /// bytes are cheaper than a system call. Fragments are full at the base size, `excess` bytes
    /// below the limit.
    pub(super) fn fill_up(&mut self, data: usize, excess: usize) {
        let room = self.data_room(data);
        let below_base = room.checked_sub(excess).filter(|_| excess > 0);
        for gap in [Some(room), below_base].into_iter().flatten() {
            if (2..=FILL_UP_MAX).contains(&gap) {
                frame::write_padding(&mut self.frames, gap);
                return;
            }
        }
    }
}
