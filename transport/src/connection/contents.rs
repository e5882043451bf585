//! What a sent packet carried, so that its acknowledgement or loss reaches the right place.

use alloc::vec::Vec;
use core::ops::Range;

use crate::ids::{ConnectionId, MessageId, PacketNumber, StreamId};
use crate::send::in_flight::Carried;
use crate::send::rate::AtSend;
use crate::streams::Control;

/// One thing that has to arrive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Item {
    /// A piece of a stream.
    Stream {
        id: StreamId,
        range: Range<u64>,
        fin: bool,
    },
    /// A part of a reliable message.
    Part { id: MessageId, index: u16 },
    /// A stream's control frame.
    Control(Control),
    /// MAX_DATA; its value is taken anew at each sending.
    MaxData,
    /// A piece of the session's channel.
    Session { range: Range<u64> },
    /// That a message was given up.
    GivenUp(MessageId),
    /// That there is another connection ID of ours.
    NewId(u64),
    /// That a connection ID of the peer's is not used any more.
    RetiredId(u64),
    /// The token for packets to one of our connection IDs.
    ResetToken(ConnectionId),
    /// How often we want to be acknowledged; its number.
    AckRequest(u64),
    /// FIN.
    Fin,
}

/// Everything a packet carried. The first item lies inline: most packets have one.
#[derive(Clone, Default, Debug)]
pub(super) struct Contents {
    first: Option<Item>,
    more: Vec<Item>,
    /// It reported everything received up to this number.
    pub(super) reported: Option<PacketNumber>,
    /// It was sent as ECN-capable.
    pub(super) ecn: bool,
    /// What had been delivered when it left.
    pub(super) at_send: AtSend,
}

impl Contents {
    pub(super) fn push(&mut self, item: Item) {
        if self.first.is_none() {
            self.first = Some(item);
        } else {
            self.more.push(item);
        }
    }

    /// Its piece of a stream is the one `places` pieces behind.
    pub(super) fn shift(&mut self, places: u64) {
        if let Some(Item::Stream { range, .. }) = &mut self.first {
            let distance = (range.end - range.start) * places;
            *range = range.start + distance..range.end + distance;
        }
    }

    /// What `count` packets of a run carried together, of which these are the contents of the first.
    pub(super) fn of_all(mut self, count: u64) -> Self {
        if let Some(Item::Stream { range, .. }) = &mut self.first {
            range.end += (range.end - range.start) * (count - 1);
        }
        self
    }

    /// The stream of which a piece of `len` bytes, not its last one, is all there is.
    pub(super) fn only_piece(&self, len: usize) -> Option<StreamId> {
        let Some(Item::Stream { id, range, fin }) = &self.first else {
            return None;
        };
        let is_only = self.more.is_empty() && self.reported.is_none() && !fin;
        (is_only && range.end - range.start == len as u64).then_some(*id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.first.iter().chain(&self.more)
    }

    pub(super) fn into_items(self) -> impl Iterator<Item = Item> {
        self.first.into_iter().chain(self.more)
    }
}

/// A run consists of pieces of one stream, each behind the one before it.
impl Carried for Contents {
    fn nth(&self, index: u64, size: u32) -> Self {
        let mut this = self.clone();
        this.shift(index);
        this.at_send = self.at_send.behind(index * u64::from(size));
        this
    }
}
