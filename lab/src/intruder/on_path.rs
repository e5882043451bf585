//! Somebody between two honest ends who holds no key.

use std::time::Duration;

use dunlin_session::CipherSuite;
use dunlin_transport::wire::header::route;
use dunlin_transport::wire::{Flags, Header, PacketType};
use dunlin_transport::{ConnectionId, EndpointConfig, Instant, StreamDirection};

use super::forge;
use crate::meddled_pair::{MeddledPair, Meddler, Passage, Setting, address};
use crate::profile::Profile;
use crate::rng::{Ppm, Rng};
use crate::violation::Failure;
use crate::workload::{Ending, Fate, Plan, StreamPlan};

/// Kinds of intruders.
pub(super) const KINDS: u64 = 6;

/// Whose address the intruder bears.
const STRANGER: usize = 7;

/// What an intruder does besides passing everything on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trick {
    /// Unprotected resets with the right connection IDs.
    Resets,
    /// Confirm messages in somebody's name, ahead of the genuine one.
    Confirms,
    /// For a while packets arrive from another address, and not from their own.
    Detours,
    /// The last word before a silence comes from another address.
    LastWord,
    /// Every packet comes again later, some twice.
    Replays,
    /// The SYN comes again from many addresses.
    Syns,
}

struct Intruder {
    trick: Trick,
    chance: Ppm,
    rng: Rng,
    /// Until when packets take the detour.
    detour: Instant,
    /// The connection IDs of both ends, as overheard.
    ids: [ConnectionId; 2],
    syns: usize,
}

impl Intruder {
    fn listen(&mut self, passage: &Passage) {
        if let Ok(id) = route(&passage.bytes)
            && id != ConnectionId::NONE
        {
            self.ids[passage.to] = id;
        }
        // The SYN_ACK names the answering end in its first four bytes.
        if let Some((header, payload)) = forge::read(&passage.bytes)
            && header.kind == PacketType::SynAck
            && let Some(id) = payload.first_chunk()
        {
            self.ids[1 - passage.to] = ConnectionId(u32::from_be_bytes(*id));
        }
    }

    fn forged(&mut self, kind: PacketType, to: usize, length: usize) -> Passage {
        let mut body = vec![0; length];
        dunlin_transport::protect::Random::fill(&mut self.rng, &mut body);
        if kind == PacketType::Rst {
            // By the application, code 9, and a reason long enough for a header mask's sample.
            body.fill(b'x');
            body.iter_mut()
                .zip([0, 9])
                .for_each(|(byte, value)| *byte = value);
        }
        let mut header = Header::new(kind, self.ids[to]);
        header.sequence = u32::try_from(self.rng.below(1 << 32)).unwrap_or(0);
        Passage {
            to,
            after: Duration::from_micros(self.rng.between(1, 40_000)),
            source: address(1 - to),
            ecn: None,
            bytes: forge::plain(header, &body, &[]),
        }
    }
}

impl Meddler for Intruder {
    fn on_datagram(&mut self, now: Instant, mut passage: Passage, out: &mut Vec<Passage>) {
        self.listen(&passage);
        let to = passage.to;
        let genuine = passage.clone();
        match self.trick {
            Trick::Resets if self.ids[to] != ConnectionId::NONE && self.rng.chance(self.chance) => {
                let forged = self.forged(PacketType::Rst, to, 40);
                out.push(forged);
            }
            Trick::Confirms if to == 0 && self.ids[1] != ConnectionId::NONE => {
                if matches!(forge::read(&genuine.bytes), Some((header, _)) if header.kind == PacketType::SynAck)
                {
                    let mut forged =
                        self.forged(PacketType::Ack, 1, dunlin_session::limits::CONFIRM_LEN);
                    forged.after = passage.after / 2;
                    out.push(forged);
                }
            }
            Trick::Detours if to == 1 && is_sealed(&genuine) => {
                if self.rng.chance(self.chance) {
                    self.detour = now + Duration::from_millis(self.rng.between(0, 500));
                }
                if now <= self.detour {
                    passage.source = address(STRANGER);
                }
            }
            Trick::LastWord
                if to == 1
                    && is_sealed(&genuine)
                    && genuine.bytes.len() < 120
                    && self.rng.below(2) == 0 =>
            {
                passage.source = address(STRANGER);
            }
            Trick::Replays => {
                for _ in 0..self.rng.below(3) {
                    let mut again = genuine.clone();
                    again.after += Duration::from_micros(self.rng.between(0, 400_000));
                    out.push(again);
                }
            }
            Trick::Syns if to == 1 && self.syns == 0 => {
                if matches!(forge::read(&genuine.bytes), Some((header, _)) if header.kind == PacketType::Syn)
                {
                    self.syns = usize::try_from(self.rng.between(5, 60)).unwrap_or(5);
                    out.extend((0..self.syns).map(|index| Passage {
                        source: address(STRANGER + index),
                        after: passage.after * 2,
                        ..genuine.clone()
                    }));
                }
            }
            _ => {}
        }
        out.push(passage);
    }
}

/// Whether it holds no handshake message.
fn is_sealed(passage: &Passage) -> bool {
    route(&passage.bytes).is_ok_and(|id| id != ConnectionId::NONE)
        && forge::read(&passage.bytes)
            .is_none_or(|(header, _)| header.flags.contains(Flags::SEALED))
}

/// The run of a kind; `turn` varies it.
pub(super) fn run(kind: u64, turn: u64) -> Result<(), Failure> {
    let tricks = [
        Trick::Resets,
        Trick::Confirms,
        Trick::Detours,
        Trick::LastWord,
        Trick::Replays,
        Trick::Syns,
    ];
    let index = usize::try_from(kind).unwrap_or(0) % tricks.len();
    let trick = tricks[index];
    let mut rng = Rng::new(turn).split(0x0b + kind);
    let mut config = EndpointConfig::default();
    config.transport.handshake_timeout = Duration::from_secs(3);
    // Silence is where a new address is believed or not: PONGs end it, or nothing does.
    config.transport.keep_alive =
        (trick == Trick::Detours).then(|| Duration::from_millis(rng.between(20, 200)));
    let silence = matches!(trick, Trick::Detours | Trick::LastWord);
    let ending = match silence {
        true => Ending::CloseAt(Instant::ZERO + Duration::from_millis(1_500)),
        false => Ending::WhenDone,
    };
    let most = if trick == Trick::LastWord {
        2_000
    } else {
        80_000
    };
    let stream = StreamPlan {
        direction: StreamDirection::Bidirectional,
        bytes: rng.between(most / 4, most),
        answer: rng.between(most / 4, most),
        fate: Fate::Finish,
    };
    let opens = Plan {
        streams: vec![stream],
        messages: vec![100; 3],
        ending: Some(ending),
        ..Plan::default()
    };
    let setting = Setting {
        profile: Profile::Sealed(CipherSuite::Aes128Gcm),
        config: [config.clone(), config],
        plans: [opens, Plan::default()],
        delay: Duration::from_micros(rng.between(1_000, 40_000)),
    };
    let intruder = Intruder {
        trick,
        chance: Ppm::percent(10),
        detour: Instant::ZERO,
        rng: rng.split(1),
        ids: [ConnectionId::NONE; 2],
        syns: 0,
    };
    let mut pair = MeddledPair::new(&setting, turn, intruder)?;
    pair.run_to_end(Instant::ZERO + setting.delay * 60 + Duration::from_secs(2))?;
    for node in 0..2 {
        if pair.agent(node).missing_reads().is_some() {
            let detail = format!("{:?}: {:?}", trick, pair.close_reason(node));
            return Err(pair.unexpected(node, "an intruder kept data back", detail));
        }
    }
    // Everything half-open is forgotten when its time is over.
    pair.run_until(pair.now() + Duration::from_secs(4))?;
    let half_open = pair.endpoint(1).half_open_count();
    if half_open > 0 {
        let detail = format!("{half_open}");
        return Err(pair.unexpected(1, "half-open handshakes that are never forgotten", detail));
    }
    Ok(())
}
