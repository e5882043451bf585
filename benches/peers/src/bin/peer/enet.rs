//! ENet (rusty_enet). It neither encrypts nor proves who
//! the peer is. Everything is a reliable packet.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use dunlin_peers::cli::{Client, Mode, Role, Setup};
use dunlin_peers::multiplexed::confirmed;
use dunlin_peers::report::{Measurement, Report};
use dunlin_peers::{REQUEST_SIZE, Result, WRITE_SIZE, socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rusty_enet::{Event, EventNoRef, Host, HostSettings, Packet, PeerID};

/// First byte of a packet that is sent back.
const REQUEST: u8 = 0;
/// First byte of a packet that is counted.
const COUNTED: u8 = 1;
/// First byte of a packet that asks for the count.
const QUESTION: u8 = 2;
/// Questions under way in each channel.
const QUESTIONS: usize = 4;
/// How long to wait for the other end before timers are looked at.
const TICK_MS: u8 = 1;
/// The longest that a run may take.
const PATIENCE: Duration = Duration::from_secs(100);

/// Either end.
pub fn main(role: Role) -> Result<()> {
    match role {
        Role::Server { listen, setup } => serve(listen, &setup),
        Role::Client(arguments) => {
            measure(&arguments)?.print(arguments.json);
            Ok(())
        }
    }
}

fn host(local: SocketAddr, setup: &Setup) -> Result<Host<UdpSocket>> {
    let settings = HostSettings {
        peer_limit: 64,
        channel_limit: 64,
        ..HostSettings::default()
    };
    let mut host = Host::new(socket::udp(local)?, settings)?;
    host.set_mtu(setup.mtu)?;
    Ok(host)
}

/// Waits a moment for the other end when there is nothing to do.
fn wait(host: &Host<UdpSocket>) -> Result<()> {
    let mut sockets = [PollFd::new(host.socket().as_fd(), PollFlags::POLLIN)];
    poll(&mut sockets, PollTimeout::from(TICK_MS))?;
    Ok(())
}

fn serve(listen: SocketAddr, setup: &Setup) -> Result<()> {
    let mut host = host(listen, setup)?;
    println!("enet@{}", host.socket().local_addr()?);
    let mut total: u64 = 0;
    loop {
        let Some(event) = host.service()? else {
            host.flush();
            wait(&host)?;
            continue;
        };
        let (peer, channel_id, packet) = match event {
            Event::Receive {
                peer,
                channel_id,
                packet,
            } => (peer, channel_id, packet),
            // One client at a time.
            Event::Connect { .. } => {
                total = 0;
                continue;
            }
            Event::Disconnect { .. } => continue,
        };
        let answer = match packet.data().first() {
            Some(&COUNTED) => {
                total += packet.data().len() as u64;
                continue;
            }
            Some(&QUESTION) => Packet::reliable(total.to_be_bytes().as_slice()),
            _ => Packet::reliable(packet.data()),
        };
        peer.send(channel_id, &answer)?;
    }
}

fn measure(arguments: &Client) -> Result<Report> {
    let server = arguments.socket_addr()?;
    let mut host = host(socket::client_address(server), &arguments.setup)?;
    let channels = arguments.at_once.clamp(1, 64);
    let peer = host.connect(server, channels, 0)?.id();
    let began = Instant::now();
    while !host.peer(peer).connected() {
        next(&mut host, began)?;
    }
    let run = Measurement::begin("enet", arguments.mode, arguments.seconds);
    let end = End {
        host,
        peer,
        run,
        began,
    };
    match arguments.mode {
        Mode::Bulk => end.bulk(channels),
        Mode::Messages => end.messages(),
        Mode::Rr => end.requests(arguments.at_once),
        Mode::Handshake | Mode::Idle => Err("ENet has no handshake to compare".into()),
    }
}

/// The next event, if one comes within a moment; what is to be sent is sent.
fn next(host: &mut Host<UdpSocket>, began: Instant) -> Result<Option<EventNoRef>> {
    if began.elapsed() > PATIENCE {
        return Err("the server does not answer".into());
    }
    if let Some(event) = host.service()? {
        return Ok(Some(event.no_ref()));
    }
    wait(host)?;
    Ok(host.service()?.map(Event::no_ref))
}

struct End {
    host: Host<UdpSocket>,
    peer: PeerID,
    run: Measurement,
    began: Instant,
}

impl End {
    fn bulk(mut self, channels: usize) -> Result<Report> {
        let sent = self.fill(channels, WRITE_SIZE, 16)?;
        Ok(self.run.end_bulk(sent))
    }

    fn messages(mut self) -> Result<Report> {
        let sent = self.fill(1, REQUEST_SIZE, 1_024)?;
        Ok(self.run.end_messages(sent / REQUEST_SIZE as u64))
    }

    /// Sends packets of `size` bytes until the time is over, and a question after every few: the
    /// answers keep it from queueing without bound. How many bytes the server counted.
    fn fill(&mut self, channels: usize, size: usize, between: usize) -> Result<u64> {
        let mut data = vec![0x5a; size];
        data[0] = COUNTED;
        let mut unanswered = vec![0_usize; channels];
        let (mut sent, mut counted) = (0, 0);
        loop {
            let over = self.run.is_over();
            for (channel, unanswered) in unanswered.iter_mut().enumerate() {
                let channel = u8::try_from(channel)?;
                while !over && *unanswered < QUESTIONS {
                    for _ in 0..between {
                        self.send(channel, &data)?;
                        sent += size as u64;
                    }
                    self.send(channel, &[QUESTION])?;
                    *unanswered += 1;
                }
            }
            if over && unanswered.iter().all(|count| *count == 0) {
                return confirmed(sent, counted);
            }
            if let Some((channel, packet)) = self.receive()? {
                counted = u64::from_be_bytes(packet.data().try_into()?);
                let unanswered = unanswered.get_mut(channel).ok_or("no such channel")?;
                *unanswered = unanswered.saturating_sub(1);
            }
        }
    }

    fn requests(mut self, outstanding: usize) -> Result<Report> {
        let mut request = [0x5a; REQUEST_SIZE];
        request[0] = REQUEST;
        let mut began = vec![Instant::now(); outstanding];
        for tag in 0..outstanding {
            request[1] = u8::try_from(tag)?;
            self.send(0, &request)?;
        }
        let mut times = Vec::new();
        let mut under_way = outstanding;
        while under_way > 0 {
            let Some((_, answer)) = self.receive()? else {
                continue;
            };
            let tag = answer.data().get(1).ok_or("an answer is too short")?;
            let sent = began
                .get_mut(usize::from(*tag))
                .ok_or("an answer has an unknown tag")?;
            times.push(sent.elapsed());
            if self.run.is_over() {
                under_way -= 1;
            } else {
                *sent = Instant::now();
                request[1] = *tag;
                self.send(0, &request)?;
            }
        }
        Ok(self.run.end_times(times))
    }

    fn send(&mut self, channel: u8, data: &[u8]) -> Result<()> {
        let peer = self.host.peer_mut(self.peer);
        Ok(peer.send(channel, &Packet::reliable(data))?)
    }

    /// A packet and its channel, if one comes within a moment.
    fn receive(&mut self) -> Result<Option<(usize, Packet)>> {
        match next(&mut self.host, self.began)? {
            Some(EventNoRef::Receive {
                channel_id, packet, ..
            }) => Ok(Some((usize::from(channel_id), packet))),
            Some(EventNoRef::Disconnect { .. }) => Err("the connection is lost".into()),
            _ => Ok(None),
        }
    }
}
