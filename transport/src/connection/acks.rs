//! What an acknowledgement, or its absence, does (RFC 9002 appendix A).

use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};

use super::Connection;
use super::contents::{Contents, Item};
use super::state::State;
use crate::congestion::{
    Acked, AckedPacket, Congestion, CongestionKind, EcnSample, LostPacket, SpuriousLoss,
};
use crate::error::PeerViolation;
use crate::ids::{PacketNumber, StreamId};
use crate::io::Event;
use crate::planted::{self, Bug};
use crate::send::in_flight::{SentPacket, SentRun};
use crate::send::loss::{DeclaredLost, LossDetector};
use crate::time::Instant;
use crate::trace::TraceEvent;
use crate::wire::ack::{AckFrame, EcnCounts};

/// Packets at the front of the flight whose contents a probe timeout sends again.
const PROBED_PACKETS: usize = 2;

/// A piece of a stream, perhaps of several packets, and whether it ends the stream; None: nothing yet.
type AckedPiece = Option<(StreamId, Range<u64>, bool)>;

impl Connection {
    /// The peer has received `largest` and, with a frame, the ranges it names.
    pub(super) fn on_ack(
        &mut self,
        now: Instant,
        largest: PacketNumber,
        frame: Option<&AckFrame<'_>>,
    ) -> Result<(), PeerViolation> {
        if largest >= self.sent.next_number() && !planted::is(Bug::AckOfUnsentAccepted) {
            return Err(PeerViolation::AckOfUnsentPacket);
        }
        self.received.on_echo(largest);
        let mut acked = Vec::new();
        // Where in it each range begins, the highest first.
        let mut runs = Vec::new();
        match frame {
            None => {
                runs.push(0);
                self.take_acked(now, largest.0..=largest.0, &mut acked)?;
            }
            Some(frame) => {
                let mut named = self.named.take().unwrap_or_default();
                named.begin();
                for range in frame.ranges(largest.0) {
                    let range = range?;
                    if !named.is_known(&range) {
                        runs.push(acked.len());
                        self.take_acked(now, range, &mut acked)?;
                    }
                }
                self.named = Some(named);
            }
        }
        let newest = acked.iter().map(SentRun::last).max();
        if let Some(lowest) = acked.iter().map(|run| run.first).min() {
            self.loss.on_arrived(lowest);
        }
        // A number in the header may have come before its frame, which is then all the news.
        let is_news = frame.is_some() && Some(largest) > self.loss.largest_acked();
        if newest.is_none() && !is_news {
            return Ok(());
        }
        let bytes = acked.iter().map(SentRun::bytes).sum();
        let before = self.sent.bytes_in_flight() + bytes;
        self.loss.on_progress();
        self.probes = 0;
        self.ack_request_due = true;
        let timeout = self.probe_timeout();
        if let Some(protection) = &mut self.protection {
            // While acknowledgements keep coming no timer may go off for long.
            protection.on_time(now, timeout);
            protection.on_acknowledged(largest);
        }
        self.sample_rtt(now, largest, &acked, frame);
        // The number in the header alone says nothing about lower ones: no evidence of loss.
        let ecn = frame.and_then(|frame| {
            self.loss.on_acknowledged(largest);
            self.check_ecn(now, (frame.ecn, is_news), &acked)
        });
        let times = acked.iter().map(|run| run.packet.sent_at);
        let news = newest.zip(times.max());
        self.trace_acked(now, &acked);
        self.on_runs_acked(now, acked, &runs);
        self.detect_lost(now);
        if let Some((newest, sent_at)) = news {
            self.grow_window(now, (newest, sent_at, bytes), before, ecn);
        }
        self.wake_writers();
        self.check_delivered();
        Ok(())
    }

    /// What acknowledged packets carried has arrived. `starts` says where in `acked` each range begins, the
    /// highest first.
    fn on_runs_acked(&mut self, now: Instant, mut acked: Vec<SentRun<Contents>>, starts: &[usize]) {
        let mut piece = None;
        // From the lowest range up, as bytes lie in streams: what is next to each other joins at once.
        for start in starts.iter().rev() {
            for SentRun {
                first,
                count,
                packet,
            } in acked.drain(start..)
            {
                let size = packet.size as usize;
                let change = self.search.on_run_acked(first, count, size);
                self.on_mtu_change(now, change);
                self.on_contents_acked(now, packet.contents.of_all(count), &mut piece);
            }
        }
        self.on_piece_acked(now, piece);
    }

    fn take_acked(
        &mut self,
        now: Instant,
        range: RangeInclusive<u64>,
        acked: &mut Vec<SentRun<Contents>>,
    ) -> Result<(), PeerViolation> {
        if self.skipped.is_named_by(&range) {
            return Err(PeerViolation::AckOfUnsentPacket);
        }
        let (rate, congestion) = (&mut self.rate, &mut self.congestion);
        self.sent.take_range(&range, |run| {
            let (sent_at, bytes) = (run.packet.sent_at, u64::from(run.packet.size));
            let newest = run.packet.contents.at_send.behind(run.bytes() - bytes);
            rate.on_acked(now, (run.last().0, sent_at, run.bytes()), &newest);
            for number in run.first.0..=run.last().0 {
                congestion.on_packet_acked(&AckedPacket {
                    now,
                    number: PacketNumber(number),
                    bytes,
                    sent_at,
                });
            }
            acked.push(run);
        });
        while let Some((number, lost)) = self.loss.take_spurious(now, &range, &self.rtt) {
            self.stats.packets_spuriously_lost += 1;
            let before = self.congestion.window();
            self.congestion
                .on_spurious_loss(&SpuriousLoss { now, lost });
            self.stats.reductions_undone += u64::from(self.congestion.window() > before);
            self.trace_spurious(now, number, &lost);
        }
        Ok(())
    }

    /// A sample, when the largest number is newly acknowledged (RFC 9002 §5.1). Only a frame tells
    /// how long the peer has waited; what a header acknowledges is kept for the frame that follows.
    fn sample_rtt(
        &mut self,
        now: Instant,
        largest: PacketNumber,
        acked: &[SentRun<Contents>],
        frame: Option<&AckFrame<'_>>,
    ) {
        let newly = acked
            .iter()
            .find(|run| (run.first..=run.last()).contains(&largest));
        if let Some(run) = newly {
            let mut sent_at = run.packet.sent_at;
            if planted::is(Bug::RttFromLastSent) {
                let newest = self.sent.iter().last();
                sent_at = newest.map_or(sent_at, |(_, packet)| packet.sent_at);
            }
            self.unsampled = Some((largest, sent_at));
        }
        if let (Some(frame), Some((number, sent_at))) = (frame, self.unsampled)
            && number == largest
        {
            self.unsampled = None;
            let delay = frame.delay.min(self.peer_ack_delay());
            self.rtt
                .on_sample(now.saturating_duration_since(sent_at), delay);
        }
    }

    /// Marks that came back (RFC 9000 §13.4.2): new CE marks are congestion; counts that do not fit
    /// what was sent mean that the path does not pass marks. `newest`: the acknowledgement is the
    /// newest so far.
    fn check_ecn(
        &mut self,
        now: Instant,
        (counts, newest): (Option<EcnCounts>, bool),
        acked: &[SentRun<Contents>],
    ) -> Option<EcnSample> {
        let marked = acked.iter().filter(|run| run.packet.contents.ecn);
        // What a header acknowledged before has no time any more: the next frame tells.
        let sent_at = marked.clone().map(|run| run.packet.sent_at).max()?;
        let marked = marked.map(|run| run.count).sum();
        let newly_marked = self.ecn.on_acked(marked, counts, newest);
        if newly_marked > 0 {
            let signal = Congestion {
                now,
                kind: CongestionKind::Ecn,
                sent_at,
                bytes: 0,
                in_flight: self.sent.bytes_in_flight(),
            };
            let is_first = self.loss.begin_period(now, sent_at);
            self.stats.congestion_events += u64::from(is_first);
            self.signal(&signal);
        }
        Some(EcnSample {
            counts: counts?,
            newly_marked,
        })
    }

    /// Tells the controller of congestion. When it cuts its window, the flight shrinks in proportion
    /// to what arrives (RFC 9937).
    fn signal(&mut self, signal: &Congestion) {
        let before = self.congestion.window();
        self.congestion.on_congestion(signal);
        let window = self.congestion.window();
        self.stats.congestion_signals += u64::from(signal.kind != CongestionKind::Persistent);
        self.stats.window_reductions += u64::from(window < before);
        if signal.kind == CongestionKind::Persistent {
            self.reducer.end();
        } else if window < before && self.congestion.reduces_proportionally() {
            let flight = signal.in_flight + signal.bytes;
            self.reducer.begin(signal.now, window, flight, self.mtu);
        } else {
            self.reducer.on_lost();
        }
        let (kind, bytes) = (signal.kind, signal.bytes);
        self.trace(signal.now, &TraceEvent::Congestion { kind, bytes });
    }

    /// The sum of an acknowledgement: its newest packet, when the last one left, and its bytes.
    fn grow_window(
        &mut self,
        now: Instant,
        (largest, largest_sent_at, bytes): (PacketNumber, Instant, u64),
        in_flight_before: u64,
        ecn: Option<EcnSample>,
    ) {
        let Some(rate) = self.rate.finish(now, self.rtt.minimum()) else {
            return;
        };
        self.congestion.on_acked(&Acked {
            now,
            largest,
            largest_sent_at,
            bytes,
            in_flight_before,
            in_flight: self.sent.bytes_in_flight(),
            rtt: &self.rtt,
            rate,
            window_limited: self.rate.was_window_limited(largest.0),
            ecn,
        });
        let flight = (self.sent.bytes_in_flight(), self.congestion.window());
        self.reducer
            .on_acked((bytes, largest_sent_at), flight, self.mtu);
        self.stats.delivery_rate = rate.bytes_per_second.unwrap_or(self.stats.delivery_rate);
        self.set_pace(now);
        self.timers.pacing = None;
    }

    /// Hands the controller's pace to the pacer.
    pub(super) fn set_pace(&mut self, now: Instant) {
        let rate = self.congestion.pacing_rate(self.rtt.smoothed());
        self.pacer.set_quantum(self.congestion.send_quantum());
        self.pacer.set_rate(now, rate, self.mtu);
    }

    /// What a packet carried has arrived. Pieces of one stream that follow each other are gathered in
    /// `piece` and passed on as one: a batch is mostly that.
    fn on_contents_acked(&mut self, now: Instant, contents: Contents, piece: &mut AckedPiece) {
        if let Some(reported) = contents.reported {
            self.received.on_ack_acknowledged(reported);
        }
        for item in contents.into_items() {
            match item {
                Item::Stream { id, range, fin } => {
                    let follows = |(last, before, ended): &(StreamId, Range<u64>, bool)| {
                        *last == id && before.end == range.start && !ended
                    };
                    if let Some((_, before, ended)) = piece.as_mut().filter(|it| follows(it)) {
                        (before.end, *ended) = (range.end, fin);
                    } else {
                        let before = piece.replace((id, range, fin));
                        self.on_piece_acked(now, before);
                    }
                }
                Item::Part { id, index } => {
                    if self.outgoing.on_acknowledged(id, index) {
                        self.events.push_back(Event::MessageDelivered(id));
                    }
                }
                Item::Control(control) => self.streams.on_control_acknowledged(&control),
                Item::MaxData | Item::NewId(_) | Item::ResetToken(_) => {}
                Item::RetiredId(sequence) => self.remote_ids.on_acknowledged(sequence),
                Item::AckRequest(sequence) => {
                    self.ack_frequency.on_acknowledged(sequence);
                    self.loss
                        .set_report_delay(self.ack_frequency.report_delay());
                }
                Item::GivenUp(id) => self.outgoing.on_given_up_acknowledged(id),
                Item::Session { range } => self.session.on_acknowledged(range),
                // The peer acknowledges a FIN only after acting on it: as good as a FIN_ACK.
                Item::Fin => self.on_fin_ack(),
            }
        }
    }

    fn on_piece_acked(&mut self, now: Instant, piece: AckedPiece) {
        if let Some((id, range, fin)) = piece {
            self.streams
                .on_acknowledged(id, range, fin, &mut self.events);
            self.trace_delivered(now, id);
        }
    }

    /// Declares packets lost that the thresholds condemn, and schedules what they carried.
    pub(super) fn detect_lost(&mut self, now: Instant) {
        let Some(mut largest) = self.loss.largest_acked() else {
            return;
        };
        if planted::is(Bug::LossOfNewerPackets) {
            largest = self.sent.next_number();
        }
        let thresholds = self.loss.thresholds(now, &self.rtt);
        self.loss.begin_pass();
        let mut lost = Vec::new();
        let loss = &mut self.loss;
        self.sent.take_lost(
            largest,
            |number, packet| loss.is_lost(&thresholds, number, packet.sent_at),
            |number, packet| lost.push((number, packet)),
        );
        lost.retain(|(number, packet)| !self.on_probe_lost(now, *number, packet));
        let Some((_, newest)) = lost.last() else {
            return;
        };
        self.ack_request_due = true;
        let is_first = self.loss.on_lost(now, newest.sent_at);
        self.stats.congestion_events += u64::from(is_first);
        self.shrink_window(now, &lost);
        for (number, packet) in lost {
            self.stats.packets_lost += 1;
            let by_time = !thresholds.is_overtaken(number);
            self.stats.packets_lost_by_time += u64::from(by_time);
            let bytes = u64::from(packet.size);
            self.loss
                .remember_lost(number, DeclaredLost { at: now, bytes }, by_time);
            self.trace_lost(now, &thresholds, number, &packet);
            for item in packet.contents.iter() {
                self.send_again(item);
            }
        }
    }

    /// A packet was lost: what that says about the size of packets. True: it was a probe for a
    /// larger size, whose loss is no congestion (RFC 9000 §14.4) and which carried nothing.
    fn on_probe_lost(
        &mut self,
        now: Instant,
        number: PacketNumber,
        packet: &SentPacket<Contents>,
    ) -> bool {
        let (is_probe, change) = self.search.on_lost(number, packet.size as usize);
        if is_probe {
            self.stats.mtu_probes_lost += 1;
            let bytes = u64::from(packet.size);
            self.rate.on_lost(bytes, &packet.contents.at_send);
        }
        self.on_mtu_change(now, change);
        is_probe
    }

    fn shrink_window(&mut self, now: Instant, lost: &[(PacketNumber, SentPacket<Contents>)]) {
        let Some((_, last)) = lost.last() else { return };
        for (number, packet) in lost {
            let bytes = u64::from(packet.size);
            self.congestion.on_packet_lost(&LostPacket {
                now,
                number: *number,
                bytes,
                sent_at: packet.sent_at,
                sample: self.rate.on_lost(bytes, &packet.contents.at_send),
            });
        }
        let (bytes, in_flight) = (bytes_of(lost), self.sent.bytes_in_flight());
        let persistent = self.is_congestion_persistent(lost);
        self.stats.persistent_congestion += u64::from(persistent);
        for kind in [CongestionKind::Loss, CongestionKind::Persistent] {
            if kind == CongestionKind::Loss || persistent {
                self.signal(&Congestion {
                    now,
                    kind,
                    sent_at: last.sent_at,
                    bytes,
                    in_flight,
                });
            }
        }
        self.set_pace(now);
    }

    /// Whether a run of lost packets without a gap spans the persistent-congestion duration.
    fn is_congestion_persistent(&self, lost: &[(PacketNumber, SentPacket<Contents>)]) -> bool {
        let mut run: Option<(u64, Instant)> = None;
        for (number, packet) in lost {
            let first = match run {
                Some((previous, first)) if previous + 1 == number.0 => first,
                _ => packet.sent_at,
            };
            run = Some((number.0, first));
            let delay = self.peer_ack_delay();
            if LossDetector::is_persistent(first, packet.sent_at, &self.rtt, delay) {
                return true;
            }
        }
        false
    }

    /// Nothing was acknowledged for a probe timeout: what was sent first is sent again, window or
    /// not (RFC 9002 §6.2.4). The packets stay in flight; only an acknowledgement condemns them.
    pub(super) fn on_probe_timeout(&mut self, now: Instant) {
        self.stats.probe_timeouts += 1;
        self.loss.on_probe_timeout();
        self.ecn.on_probe_timeout(self.loss.probe_count());
        self.congestion
            .on_probe_timeout(now, self.loss.probe_count());
        let items: Vec<Item> = self
            .sent
            .iter()
            .take(PROBED_PACKETS)
            .flat_map(|(_, packet)| packet.contents.into_items())
            .collect();
        for item in &items {
            self.send_again(item);
        }
        // All of it may have arrived in other packets meanwhile: a probe leaves all the same, or
        // what is behind these packets would never be condemned.
        self.ping |= !self.has_data();
        self.probes = if self.loss.probe_count() > 1 { 2 } else { 1 };
    }

    fn send_again(&mut self, item: &Item) {
        self.stats.pieces_sent_again += 1;
        match item {
            Item::Stream { id, range, fin } => self.streams.on_lost(*id, range.clone(), *fin),
            Item::Part { id, index } => self.outgoing.on_lost(*id, *index),
            Item::Control(control) => self.streams.on_control_lost(control),
            Item::GivenUp(id) => self.outgoing.on_given_up_lost(*id),
            Item::NewId(sequence) => self.local_ids.on_lost(*sequence),
            Item::RetiredId(sequence) => self.remote_ids.on_lost(*sequence),
            Item::ResetToken(id) => self.reset_tokens.on_lost(*id),
            Item::AckRequest(sequence) => self.ack_frequency.on_lost(*sequence),
            Item::MaxData => self.announce_max_data |= !planted::is(Bug::MaxDataLost),
            Item::Session { range } => self.session.on_lost(range.clone()),
            Item::Fin => self.closing.fin = self.state == State::FinSent,
        }
    }
}

fn bytes_of(packets: &[(PacketNumber, SentPacket<Contents>)]) -> u64 {
    packets
        .iter()
        .map(|(_, packet)| u64::from(packet.size))
        .sum()
}
