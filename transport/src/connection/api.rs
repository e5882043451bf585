//! The application's calls.

use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use super::Connection;
use super::state::State;
use crate::congestion::{ControllerState, SavedPath};
use crate::error::{ApiMisuse, CloseReason, ReadError, SendMessageError, WriteError};
use crate::ids::{MessageId, Side, StreamDirection, StreamId};
use crate::io::{Delivery, Event, Message};
use crate::limits;
use crate::messages::compression;
use crate::messages::outgoing::{self, Packed};
use crate::options::{Priority, SendOptions};
use crate::planted::{self, Bug};
use crate::protect::PeerIdentity;
use crate::recv::lent::Lent;
use crate::stats::Stats;

impl Connection {
    /// Which end this is.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Where its packets go.
    #[must_use]
    pub const fn remote_address(&self) -> SocketAddr {
        self.path.remote()
    }

    /// Who the peer is; None before the handshake is complete.
    #[must_use]
    pub const fn peer(&self) -> Option<&PeerIdentity> {
        self.peer.as_ref()
    }

    /// Whether the handshake is complete and nobody has closed.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// Where it stands in its life cycle.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Why it ended, once it has for the application.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        self.closing.reason()
    }

    /// Opens a stream; None: wait for [`Event::StreamsAvailable`].
    pub fn open_stream(&mut self, direction: StreamDirection) -> Option<StreamId> {
        self.streams.open(direction)
    }

    /// The next stream that the peer opened; None: wait for [`Event::StreamsOpened`].
    pub fn accept_stream(&mut self, direction: StreamDirection) -> Option<StreamId> {
        let accepted = self.streams.accept(direction);
        self.check_credit(accepted.is_none());
        accepted
    }

    /// Accepts bytes for a stream, as many as the send buffer takes.
    ///
    /// # Errors
    /// [`WriteError::Blocked`] when it takes none; see there for the rest.
    pub fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, WriteError> {
        self.check_open()?;
        let room = self.send_room();
        self.streams.write(id, data, room)
    }

    /// The same, but no more than [`limits::STREAM_BACKLOG_MAX`] bytes of the stream wait to be sent for
    /// the first time: a writer that is woken again and again writes what is sent soon.
    ///
    /// # Errors
    /// See [`Self::write`].
    pub fn write_short(&mut self, id: StreamId, data: &[u8]) -> Result<usize, WriteError> {
        self.check_open()?;
        let room = self.room_for_short(id);
        self.streams.write(id, data, room)
    }

    /// [`Self::write_short`] without a copy: what is taken is split off `data`, and held until it is
    /// acknowledged.
    ///
    /// # Errors
    /// See [`Self::write`].
    pub fn write_shared(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        self.check_open()?;
        let room = self.room_for_short(id);
        self.streams.write_shared(id, data, room)
    }

    fn room_for_short(&self, id: StreamId) -> u64 {
        let room = self.send_room();
        let short = limits::STREAM_BACKLOG_MAX.saturating_sub(self.streams.backlog(id));
        room.min(short)
    }

    /// Ends the sending half of a stream after what was written.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        self.check_open()?;
        self.streams.finish(id)
    }

    /// Abandons the sending half of a stream.
    ///
    /// # Errors
    /// See [`ApiMisuse`].
    pub fn reset(&mut self, id: StreamId, code: u64) -> Result<(), ApiMisuse> {
        self.streams.reset(id, code)
    }

    /// Reads from a stream. 0 bytes into a non-empty buffer is the end.
    ///
    /// # Errors
    /// [`ReadError::Blocked`] when nothing is there; see there for the rest.
    pub fn read(&mut self, id: StreamId, buf: &mut [u8]) -> Result<usize, ReadError> {
        let result = self.streams.read(id, buf, &mut self.receive_flow);
        self.on_read(result)
    }

    /// Reads from a stream without a copy: adds the pages that hold the next bytes to `lent`, at most
    /// [`limits::LENT_PAGES_MAX`], and takes back those that were consumed. 0 bytes is the end.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_lent(&mut self, id: StreamId, lent: &mut Lent) -> Result<usize, ReadError> {
        let result = self.streams.read_lent(id, lent, &mut self.receive_flow);
        self.on_read(result)
    }

    fn on_read(&mut self, result: Result<usize, ReadError>) -> Result<usize, ReadError> {
        self.check_credit(!matches!(result, Ok(1..)));
        match (result, self.closing.reason()) {
            (Err(ReadError::Blocked), Some(reason)) => Err(ReadError::Closed(reason.clone())),
            (result, _) => result,
        }
    }

    /// Asks the peer to stop sending on a stream, and discards what came.
    ///
    /// # Errors
    /// See [`ApiMisuse`].
    pub fn stop(&mut self, id: StreamId, code: u64) -> Result<(), ApiMisuse> {
        let result = self.streams.stop(id, code, &mut self.receive_flow);
        self.check_credit(true);
        result
    }

    /// Whose turn it is when a stream and others have something to send; [`Priority::STREAM`] at
    /// first.
    ///
    /// # Errors
    /// See [`ApiMisuse`].
    pub fn set_priority(&mut self, id: StreamId, priority: Priority) -> Result<(), ApiMisuse> {
        self.streams.set_priority(id, priority)
    }

    /// Accepts a message, to be sent as `options` say; a [`Delivery`] alone is enough.
    ///
    /// # Errors
    /// See [`SendMessageError`].
    pub fn send_message(
        &mut self,
        data: Vec<u8>,
        options: impl Into<SendOptions>,
    ) -> Result<MessageId, SendMessageError> {
        let options = options.into();
        self.check_message(data.len(), options)?;
        let packed = self.pack(data, options);
        let part_max = self.part_max(options.delivery, packed.uncompressed.is_some());
        Ok(self.outgoing.push(packed, part_max, &options))
    }

    /// Whether as much waits to be sent as is under way, and a packet at least: the peer would have
    /// nothing to do if it waited for what comes next.
    #[must_use]
    pub fn is_worth_sending(&self) -> bool {
        let under_way = self.sent.bytes_in_flight();
        let packet = self.mtu as u64;
        self.outgoing.buffered() >= under_way + under_way.max(packet)
    }

    /// Packets sent and neither acknowledged nor lost.
    #[must_use]
    pub const fn packets_under_way(&self) -> usize {
        self.sent.outstanding()
    }

    /// A message as it travels: compressed if that is wanted, welcome and shorter.
    fn pack(&self, data: Vec<u8>, options: SendOptions) -> Packed {
        let welcome = self.accepted.compressed;
        if !welcome || !options.wants_compression() {
            return data.into();
        }
        let longest = outgoing::longest(self.part_max(options.delivery, true));
        match compression::compress(&data).filter(|it| it.len() as u64 <= longest) {
            Some(compressed) => Packed {
                uncompressed: Some(data.len() as u64),
                data: compressed,
            },
            None => data.into(),
        }
    }

    /// What [`Self::send_message`] would say to `length` bytes, before they are given away. After
    /// [`SendMessageError::Blocked`], wait for [`Event::MessagesWritable`].
    ///
    /// # Errors
    /// See [`SendMessageError`].
    pub fn check_message(
        &mut self,
        length: usize,
        options: impl Into<SendOptions>,
    ) -> Result<(), SendMessageError> {
        let delivery = options.into().delivery;
        self.check_open()?;
        let is_reliable = !matches!(delivery, Delivery::Unreliable { .. });
        let accepted = match is_reliable {
            true => self.accepted.message,
            false => self.accepted.datagram,
        };
        let limit = accepted.min(outgoing::longest(self.part_max(delivery, false)));
        if length as u64 > limit {
            return Err(SendMessageError::TooLarge { length, limit });
        }
        if is_reliable {
            // A message above the free room is welcome when nothing else waits, or none longer
            // than the buffer could ever be sent. The last one may exceed the buffer of today, or
            // long ones would leave gaps between them.
            let buffered = self.buffered();
            let fits = self.send_room() > 0 && buffered + length as u64 <= self.config.send_buffer;
            let fits = buffered == 0 || fits;
            if !fits || !self.outgoing.has_room() {
                self.message_blocked = true;
                return Err(SendMessageError::Blocked);
            }
        }
        Ok(())
    }

    /// The next reliable message; None: wait for [`Event::MessageReceived`].
    pub fn receive_message(&mut self) -> Option<Message> {
        let message = self.incoming.pop(&mut self.receive_flow);
        self.check_credit(message.is_none());
        message
    }

    /// The next unreliable message; None: wait for [`Event::DatagramReceived`].
    pub fn receive_datagram(&mut self) -> Option<Message> {
        self.incoming.pop_datagram()
    }

    /// Counters and current values.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            rtt: self.rtt.smoothed(),
            rtt_latest: self.rtt.latest(),
            rtt_variance: self.rtt.variance(),
            rtt_min: self.rtt.minimum(),
            congestion_window: self.congestion.window(),
            bytes_in_flight: self.sent.bytes_in_flight(),
            packets_in_flight: self.sent.outstanding() as u64,
            bytes_buffered: self.buffered(),
            bytes_unread: self.receive_flow.unread(),
            mtu: self.mtu as u64,
            ecn_ect0: self.ecn.reported().ect0,
            ecn_ce: self.ecn.reported().ce,
            ecn_usable: self.ecn.is_usable(),
            pacing_rate: self
                .congestion
                .pacing_rate(self.rtt.smoothed())
                .unwrap_or(0),
            datagrams_dropped: self.outgoing.expired() + self.incoming.dropped_datagrams(),
            ..self.stats.told()
        }
    }

    /// Where its congestion controller stands.
    #[must_use]
    pub fn controller_state(&self) -> ControllerState {
        ControllerState::of(&*self.congestion, self.rtt.smoothed())
    }

    /// What to keep of its path for a later connection to the same peer; None: nothing worth keeping
    /// yet.
    #[must_use]
    pub fn saved_path(&self) -> Option<SavedPath> {
        self.congestion.saved_path(&self.rtt)
    }

    /// An earlier connection to this peer saw its path ([`Self::saved_path`]): slow start may be cut
    /// short (RFC 9959). Without effect once a packet with data has left. Give one memory to one
    /// connection only, and none that is older than minutes.
    pub fn resume_path(&mut self, saved: SavedPath) {
        self.congestion.resume(saved);
    }

    /// The next event. [`Event::Closed`] is the last: what an acknowledgement that comes later
    /// would tell is dropped.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        if self.session.is_gated() {
            self.hold_events();
            self.closing.reason()?;
        }
        if self.closing.is_told() && !planted::is(Bug::EventAfterClosed) {
            self.events.clear();
        }
        let event = self.events.pop_front()?;
        if matches!(event, Event::Closed(_)) {
            self.closing.set_told();
        }
        Some(event)
    }

    /// Whether [`Self::poll_event`] may have something.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Bytes accepted and not yet acknowledged.
    pub(super) const fn buffered(&self) -> u64 {
        self.streams.buffered() + self.outgoing.buffered()
    }

    /// Bytes that may wait or be in flight now: enough to fill the congestion window while it grows.
    fn send_buffer(&self) -> u64 {
        (2 * self.congestion.window())
            .max(limits::SEND_BUFFER_MIN)
            .min(self.config.send_buffer)
    }

    /// Bytes that are accepted now. What has arrived, and is only held because something before it has
    /// not, takes the place of nothing that could be sent (ADR 0129); it counts for the bound of memory.
    fn send_room(&self) -> u64 {
        let buffered = self.buffered();
        let under_way = buffered.saturating_sub(self.streams.ahead());
        let room = self.send_buffer().saturating_sub(under_way);
        room.min(self.config.send_buffer.saturating_sub(buffered))
    }

    /// Wakes blocked writers once an eighth of the send buffer is free: fewer would mean a wake-up
    /// for every packet.
    pub(super) fn wake_writers(&mut self) {
        if self.send_room() < self.send_buffer() / 8 {
            return;
        }
        if self.streams.is_blocked() {
            self.streams.wake_blocked(&mut self.events);
        }
        if core::mem::take(&mut self.message_blocked) {
            self.events.push_back(Event::MessagesWritable);
        }
    }

    /// Whether the connection's limit is to be announced now; `waits`: the application may not call
    /// again before something arrives.
    pub(super) fn check_credit(&mut self, waits: bool) {
        self.announce_max_data |= self.receive_flow.wants_announcement()
            || (waits && self.receive_flow.withholds_credit(self.config.mtu));
    }

    fn check_open(&self) -> Result<(), CloseReason> {
        match self.closing.reason() {
            Some(reason) => Err(reason.clone()),
            None if self.state == State::Closing || self.state == State::FinSent => {
                Err(CloseReason::Local)
            }
            None => Ok(()),
        }
    }
}
