//! What an acknowledgement, or its absence, does (RFC 9002 appendix A).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::Connection;
use super::contents::{Contents, Item};
use super::state::State;
use crate::congestion::{
    Acked, AckedPacket, Congestion, CongestionKind, EcnSample, LostPacket, SpuriousLoss,
};
use crate::error::PeerViolation;
use crate::ids::PacketNumber;
use crate::io::Event;
use crate::planted::{self, Bug};
use crate::send::in_flight::SentPacket;
use crate::send::loss::{DeclaredLost, LossDetector};
use crate::time::Instant;
use crate::trace::TraceEvent;
use crate::wire::ack::{AckFrame, EcnCounts};

/// Packets at the front of the flight whose contents a probe timeout sends again.
const PROBED_PACKETS: usize = 2;

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
        let mut acked = Vec::new();
        match frame {
            None => self.take_acked(now, largest.0..=largest.0, &mut acked),
            Some(frame) => {
                for range in frame.ranges(largest.0) {
                    self.take_acked(now, range?, &mut acked);
                }
            }
        }
        let newest = acked.iter().map(|(number, _)| *number).max();
        // A number in the header may have come before its frame, which is then all the news.
        let is_news = frame.is_some() && Some(largest) > self.loss.largest_acked();
        if newest.is_none() && !is_news {
            return Ok(());
        }
        let before = self.sent.bytes_in_flight() + bytes_of(&acked);
        self.loss.on_progress();
        self.probes = 0;
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
            self.check_ecn(now, frame.ecn, &acked)
        });
        let times = acked.iter().map(|(_, packet)| packet.sent_at);
        let (news, bytes) = (newest.zip(times.max()), bytes_of(&acked));
        self.trace_acked(now, &acked);
        for (_, packet) in acked {
            self.on_contents_acked(now, packet.contents);
        }
        self.detect_lost(now);
        if let Some((newest, sent_at)) = news {
            self.grow_window(now, (newest, sent_at, bytes), before, ecn);
        }
        self.wake_writers();
        self.check_delivered();
        Ok(())
    }

    fn take_acked(
        &mut self,
        now: Instant,
        range: RangeInclusive<u64>,
        acked: &mut Vec<(PacketNumber, SentPacket<Contents>)>,
    ) {
        let (rate, congestion) = (&mut self.rate, &mut self.congestion);
        self.sent.take_range(&range, |number, packet| {
            let (sent_at, bytes) = (packet.sent_at, u64::from(packet.size));
            rate.on_acked(now, (number.0, sent_at, bytes), &packet.contents.at_send);
            congestion.on_packet_acked(&AckedPacket {
                now,
                number,
                bytes,
                sent_at,
            });
            acked.push((number, packet));
        });
        while let Some((number, lost)) = self.loss.take_spurious(&range) {
            self.stats.packets_spuriously_lost += 1;
            self.congestion
                .on_spurious_loss(&SpuriousLoss { now, lost });
            self.trace_spurious(now, number, &lost);
        }
    }

    /// A sample, when the largest number is newly acknowledged (RFC 9002 §5.1). Only a frame tells
    /// how long the peer has waited; what a header acknowledges is kept for the frame that follows.
    fn sample_rtt(
        &mut self,
        now: Instant,
        largest: PacketNumber,
        acked: &[(PacketNumber, SentPacket<Contents>)],
        frame: Option<&AckFrame<'_>>,
    ) {
        let newly = acked.iter().find(|(number, _)| *number == largest);
        if let Some((_, packet)) = newly {
            let newest = self.sent.iter().last().map(|(_, packet)| packet.sent_at);
            let mistaken = newest.filter(|_| planted::is(Bug::RttFromLastSent));
            self.unsampled = Some((largest, mistaken.unwrap_or(packet.sent_at)));
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

    /// Marks that came back (RFC 9000 §13.4.2): new CE marks are congestion; marks that do not come
    /// back at all mean that the path does not pass them.
    fn check_ecn(
        &mut self,
        now: Instant,
        counts: Option<EcnCounts>,
        acked: &[(PacketNumber, SentPacket<Contents>)],
    ) -> Option<EcnSample> {
        let marked = acked.iter().filter(|(_, packet)| packet.contents.ecn);
        let sent_at = marked.map(|(_, packet)| packet.sent_at).max()?;
        let Some(counts) = counts else {
            self.ecn_usable = false;
            return None;
        };
        // Counts only rise: lower ones are of an acknowledgement that was overtaken.
        let regressed = counts.ce != self.ecn_marked && planted::is(Bug::EcnCountsRegress);
        let newly_marked = counts.ce.saturating_sub(self.ecn_marked);
        if newly_marked > 0 || regressed {
            self.ecn_marked = counts.ce;
            self.stats.congestion_events += 1;
            self.congestion.on_congestion(&Congestion {
                now,
                kind: CongestionKind::Ecn,
                sent_at,
                bytes: 0,
                in_flight: self.sent.bytes_in_flight(),
            });
            let (kind, bytes) = (CongestionKind::Ecn, 0);
            self.trace(now, &TraceEvent::Congestion { kind, bytes });
        }
        Some(EcnSample {
            counts,
            newly_marked,
        })
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
        self.set_pace(now);
        self.timers.pacing = None;
    }

    /// Hands the controller's pace to the pacer.
    pub(super) fn set_pace(&mut self, now: Instant) {
        let rate = self.congestion.pacing_rate(self.rtt.smoothed());
        self.pacer.set_quantum(self.congestion.send_quantum());
        self.pacer.set_rate(now, rate, self.mtu);
    }

    fn on_contents_acked(&mut self, now: Instant, contents: Contents) {
        if let Some(reported) = contents.reported {
            self.received.on_ack_acknowledged(reported);
        }
        for item in contents.into_items() {
            match item {
                Item::Stream { id, range, fin } => {
                    self.streams
                        .on_acknowledged(id, range, fin, &mut self.events);
                    self.trace_delivered(now, id);
                }
                Item::Part { id, index } => {
                    if self.outgoing.on_acknowledged(id, index) {
                        self.events.push_back(Event::MessageDelivered(id));
                    }
                }
                Item::Control(control) => self.streams.on_control_acknowledged(&control),
                Item::MaxData | Item::NewId(_) => {}
                Item::RetiredId(sequence) => self.remote_ids.on_acknowledged(sequence),
                Item::GivenUp(id) => self.outgoing.on_given_up_acknowledged(id),
                // The peer acknowledges a FIN only after acting on it: as good as a FIN_ACK.
                Item::Fin => self.on_fin_ack(),
            }
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
        if lost.is_empty() {
            return;
        }
        self.shrink_window(now, &lost);
        for (number, packet) in lost {
            self.stats.packets_lost += 1;
            let bytes = u64::from(packet.size);
            self.loss
                .remember_lost(number, DeclaredLost { at: now, bytes });
            self.trace_lost(now, &thresholds, number, &packet);
            for item in packet.contents.iter() {
                self.send_again(item);
            }
        }
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
        self.stats.congestion_events += 1;
        for kind in [CongestionKind::Loss, CongestionKind::Persistent] {
            if kind == CongestionKind::Loss || persistent {
                let sent_at = last.sent_at;
                self.congestion.on_congestion(&Congestion {
                    now,
                    kind,
                    sent_at,
                    bytes,
                    in_flight,
                });
                self.trace(now, &TraceEvent::Congestion { kind, bytes });
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
        self.congestion
            .on_probe_timeout(now, self.loss.probe_count());
        let items: Vec<Item> = self
            .sent
            .iter()
            .take(PROBED_PACKETS)
            .flat_map(|(_, packet)| packet.contents.iter().cloned())
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
        match item {
            Item::Stream { id, range, fin } => self.streams.on_lost(*id, range.clone(), *fin),
            Item::Part { id, index } => self.outgoing.on_lost(*id, *index),
            Item::Control(control) => self.streams.on_control_lost(control),
            Item::GivenUp(id) => self.outgoing.on_given_up_lost(*id),
            Item::NewId(sequence) => self.local_ids.on_lost(*sequence),
            Item::RetiredId(sequence) => self.remote_ids.on_lost(*sequence),
            Item::MaxData => self.announce_max_data |= !planted::is(Bug::MaxDataLost),
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
