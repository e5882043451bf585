//! The UDP socket: batches in, batches out, offloads where the kernel has them.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::task::{Context, Poll, ready};

use quinn_udp::{EcnCodepoint, RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Type};

use super::link::Arrived;
use super::watched::Watched;
use super::{many, steer};
use crate::io::{EcnMark, Transmit};
use crate::limits;

/// Buffers that one receive call may fill.
const RECEIVE_BUFFERS: usize = quinn_udp::BATCH_SIZE;
/// Buffers for when little comes.
const RECEIVE_BUFFERS_MIN: usize = 4;
/// Bytes of a batch, as far as the batch before tells: with the pages that they are copied to they stay
/// in a second-level cache. Guess.
const RECEIVE_BYTES: usize = 256 * 1024;
/// Bytes of a receive buffer: the longest train the kernel makes, and a gap as long as a datagram, so that
/// datagrams at the beginnings of neighbouring buffers do not compete for the same lines of a cache.
const RECEIVE_BUFFER_SIZE: usize = 65_536 + 1_536;
/// Batches taken from the core under one lock. Guess: a quarter of a MiB at most.
const SEND_BATCHES: usize = 4;

/// What the application has chosen for its sockets.
#[derive(Clone, Copy)]
pub(super) struct SocketOptions {
    /// Bytes of the send buffer.
    pub(super) send_buffer: usize,
    /// Bytes of the receive buffer.
    pub(super) receive_buffer: usize,
    /// Whether trains are tried.
    pub(super) gso: bool,
}

/// Whether several sockets have one address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// No.
    Alone,
    /// The first of several: its address must be free.
    Opens,
    /// A further one, at the address of the first.
    Joins,
}

/// A bound socket with its receive buffers.
pub(super) struct Socket {
    io: Watched,
    udp: UdpSocketState,
    gso: bool,
    /// The mark that datagrams get which are given none.
    mark: Option<EcnMark>,
    buffer: Vec<u8>,
    meta: [RecvMeta; RECEIVE_BUFFERS],
    /// Buffers that the next receive call may fill.
    wanted: usize,
    options: SocketOptions,
    sharing: Sharing,
    /// It sends to one peer alone, whom the system knows.
    connected: bool,
}

impl Socket {
    /// Binds to `address`. An IPv6 wildcard address receives IPv4 too.
    pub(super) fn bind(
        address: SocketAddr,
        options: SocketOptions,
        sharing: Sharing,
    ) -> io::Result<Self> {
        let SocketOptions {
            send_buffer,
            receive_buffer,
            gso,
        } = options;
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            socket.set_only_v6(false)?;
        }
        for result in [
            socket.set_send_buffer_size(send_buffer),
            socket.set_recv_buffer_size(receive_buffer),
        ] {
            if let Err(error) = result {
                tracing::debug!(%error, "the system refused a socket buffer size");
            }
        }
        let mark = mark_as_capable(&socket, address).then_some(EcnMark::Ect0);
        socket.set_nonblocking(true)?;
        bind_shared(&socket, address, sharing)?;
        let io = Watched::new(socket.into())?;
        let udp = UdpSocketState::new(UdpSockRef::from(io.get()))?;
        let gso = gso && udp.max_gso_segments() > 1;
        Ok(Self {
            io,
            udp,
            gso,
            mark,
            buffer: vec![0; RECEIVE_BUFFERS * RECEIVE_BUFFER_SIZE],
            meta: [RecvMeta::default(); RECEIVE_BUFFERS],
            wanted: RECEIVE_BUFFERS_MIN.min(RECEIVE_BUFFERS),
            options,
            sharing,
            connected: false,
        })
    }

    /// Whether the system takes trains of packets.
    pub(super) const fn has_offload(&self) -> bool {
        self.gso
    }

    /// A second socket at this address, connected to `peer`: what that sends comes to it from now on, all else
    /// still to this one.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::Unsupported`] where it has no such sockets, or several share the
    /// address already.
    pub(super) fn connected_to(&self, peer: SocketAddr) -> io::Result<Self> {
        if self.sharing != Sharing::Alone || !cfg!(target_os = "linux") {
            return Err(io::ErrorKind::Unsupported.into());
        }
        share(self.io.get(), true)?;
        let connected = Self::bind(self.local_addr()?, self.options, Sharing::Joins);
        // Open to others no longer than it takes.
        share(self.io.get(), false)?;
        let mut connected = connected?;
        share(connected.io.get(), false)?;
        socket2::SockRef::from(connected.io.get()).connect(&peer.into())?;
        connected.connected = true;
        Ok(connected)
    }

    /// Whether the system may cut our datagrams into fragments: it could not be told not to.
    pub(super) fn may_fragment(&self) -> bool {
        self.udp.may_fragment()
    }

    /// Lets the system choose among `count` sockets at this address, of which this is one.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn steer(&self, count: u32) -> io::Result<()> {
        steer::by_connection_id(self.io.get(), count)
    }

    /// Where it is bound.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr()
    }

    /// Receives a batch: how many buffers were filled, for [`Self::datagrams`].
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self {
            io,
            udp,
            buffer,
            meta,
            wanted,
            ..
        } = self;
        let received = ready!(io.poll_receive(cx, |io| {
            let received = receive(io, udp, buffer, &mut meta[..*wanted])?;
            // Where a call is not filled the system had no more: who asked again would only hear that.
            Ok((received, received == *wanted))
        }))?;
        self.on_received(received);
        Poll::Ready(Ok(received))
    }

    /// Receives a batch if there is one, without waiting and without being told.
    pub(super) fn try_receive(&mut self) -> io::Result<usize> {
        let meta = &mut self.meta[..self.wanted];
        let received = receive(self.io.get(), &self.udp, &mut self.buffer, meta)?;
        self.on_received(received);
        Ok(received)
    }

    fn on_received(&mut self, received: usize) {
        let bytes = self.meta.iter().take(received).map(|meta| meta.len).sum();
        self.wanted = buffers_for(received, bytes);
    }

    /// What is in the first `count` buffers, each a datagram or a train.
    ///
    /// A source port of zero is skipped: no answer could be sent, and the attempt would make the
    /// kernel return the error that signals missing offload.
    pub(super) fn trains(&mut self, count: usize) -> impl Iterator<Item = Arrived<'_>> {
        self.buffer
            .chunks_exact_mut(RECEIVE_BUFFER_SIZE)
            .zip(&self.meta)
            .take(count)
            .filter(|(_, meta)| meta.addr.port() != 0)
            .map(|(buffer, meta)| {
                let length = meta.len.min(buffer.len());
                Arrived {
                    from: meta.addr,
                    ecn: meta.ecn.map(from_codepoint),
                    to: meta.dst_ip,
                    size: meta.stride.max(1),
                    bytes: &mut buffer[..length],
                }
            })
    }

    /// Sends the first batch that `outgoing` holds. Pending: the socket's buffer is full, and the rest is kept.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing,
    ) -> Poll<io::Result<()>> {
        let Some(batch) = outgoing.front() else {
            return Poll::Ready(Ok(()));
        };
        let Self {
            io,
            udp,
            gso,
            mark,
            connected,
            ..
        } = self;
        ready!(io.poll_send(cx, |io| {
            let kernel = Kernel {
                io,
                udp,
                mark: mark.map(to_codepoint),
                connected: *connected,
            };
            batch.send(gso, kernel)
        }))?;
        outgoing.pop_front();
        Poll::Ready(Ok(()))
    }
}

/// Binds it so that others may be bound there, as far as `sharing` says.
fn bind_shared(socket: &socket2::Socket, address: SocketAddr, sharing: Sharing) -> io::Result<()> {
    #[cfg(unix)]
    if sharing == Sharing::Joins {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    // Not before: among the ports that sockets share the system might have chosen one of a stranger.
    #[cfg(unix)]
    if sharing == Sharing::Opens {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(unix))]
    if sharing != Sharing::Alone {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(())
}

/// Whether others may be bound to its address from now on.
#[cfg(unix)]
fn share(io: &UdpSocket, allowed: bool) -> io::Result<()> {
    socket2::SockRef::from(io).set_reuse_port(allowed)
}

/// Whether others may be bound to its address from now on: never on this system.
#[cfg(not(unix))]
fn share(_io: &UdpSocket, _allowed: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Lets datagrams that are given no mark say that they are ECN-capable (RFC 3168); false: the system does
/// not, or not for all that leave from `address`.
fn mark_as_capable(socket: &socket2::Socket, address: SocketAddr) -> bool {
    let ect0 = EcnCodepoint::Ect0 as u32;
    let by_ipv4 = socket.set_tos_v4(ect0).is_ok();
    #[cfg(not(windows))]
    let by_ipv6 = || socket.set_tclass_v6(ect0).is_ok();
    #[cfg(windows)]
    let by_ipv6 = || false;
    by_ipv4 && (address.is_ipv4() || by_ipv6())
}

/// Takes datagrams.
trait Sink {
    /// Takes a datagram or a train of them.
    fn take(&mut self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()>;

    /// Takes datagrams of `segment` bytes, and a shorter one at the end, without making a train of
    /// them; as many bytes as are returned. None: it does not take these together.
    fn take_many(
        &mut self,
        _transmit: &quinn_udp::Transmit<'_>,
        _segment: usize,
    ) -> Option<io::Result<usize>> {
        None
    }
}

/// The socket's side of the system.
struct Kernel<'a> {
    io: &'a UdpSocket,
    udp: &'a UdpSocketState,
    /// The mark of what is given none.
    mark: Option<EcnCodepoint>,
    /// The system knows where all goes.
    connected: bool,
}

impl Sink for Kernel<'_> {
    fn take(&mut self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
        self.udp.try_send(UdpSockRef::from(self.io), transmit)
    }

    fn take_many(
        &mut self,
        transmit: &quinn_udp::Transmit<'_>,
        segment: usize,
    ) -> Option<io::Result<usize>> {
        if transmit.ecn.is_none() || transmit.ecn != self.mark {
            return None;
        }
        let to = (!self.connected).then_some(transmit.destination);
        many::send(self.io, to, transmit.contents, segment)
    }
}

/// One call to the system: how many buffers it filled, as many as there are `meta` at most.
fn receive(
    io: &UdpSocket,
    udp: &UdpSocketState,
    buffer: &mut [u8],
    meta: &mut [RecvMeta],
) -> io::Result<usize> {
    let mut chunks = buffer.chunks_exact_mut(RECEIVE_BUFFER_SIZE);
    let mut slices: [IoSliceMut<'_>; RECEIVE_BUFFERS] =
        std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
    let slices = &mut slices[..meta.len()];
    udp.recv(UdpSockRef::from(io), slices, meta)
}

/// Buffers for a batch of [`RECEIVE_BYTES`], when `bytes` came in `count` of them: few where the kernel
/// coalesces trains, many where every datagram takes one.
fn buffers_for(count: usize, bytes: usize) -> usize {
    let each = (bytes / count.max(1)).max(1);
    // Each buffer is prepared for the call, used or not.
    let likely = (2 * count).max(RECEIVE_BUFFERS_MIN);
    (RECEIVE_BYTES / each).clamp(1, likely).min(RECEIVE_BUFFERS)
}

/// Batches on their way from the core to the kernel, in buffers that are used again.
#[derive(Default)]
pub(super) struct Outgoing {
    slots: Vec<Batch>,
    next: usize,
    filled: usize,
}

impl Outgoing {
    /// Whether everything was sent.
    pub(super) const fn is_empty(&self) -> bool {
        self.next == self.filled
    }

    /// Takes batches from `poll` until it has none or all slots are full: how many bytes. Call when empty.
    pub(super) fn fill(&mut self, mut poll: impl FnMut(&mut Vec<u8>) -> Option<Transmit>) -> usize {
        debug_assert!(self.is_empty(), "unsent batches would be lost");
        (self.next, self.filled) = (0, 0);
        while self.filled < SEND_BATCHES {
            if self.filled == self.slots.len() {
                self.slots.push(Batch::default());
            }
            let Some(slot) = self.slots.get_mut(self.filled) else {
                break;
            };
            slot.transmit = poll(&mut slot.bytes);
            if slot.transmit.is_none() {
                break;
            }
            (slot.sent, slot.one_by_one) = (0, false);
            self.filled += 1;
        }
        let filled = self.slots.iter().take(self.filled);
        filled.map(|slot| slot.bytes.len()).sum()
    }

    /// Where the first batch goes, and whether it is several datagrams.
    pub(super) fn destination(&self) -> Option<(SocketAddr, bool)> {
        let batch = self.slots.get(self.next..self.filled)?.first()?;
        let transmit = batch.transmit?;
        Some((transmit.destination, transmit.segment_size.is_some()))
    }

    fn front(&mut self) -> Option<&mut Batch> {
        self.slots.get_mut(self.next..self.filled)?.first_mut()
    }

    const fn pop_front(&mut self) {
        self.next += 1;
    }
}

/// Datagrams to one destination, end to end.
#[derive(Default)]
struct Batch {
    transmit: Option<Transmit>,
    bytes: Vec<u8>,
    /// Bytes at the front that the kernel has taken.
    sent: usize,
    /// The kernel refused it as a train.
    one_by_one: bool,
}

impl Batch {
    /// Hands the rest to `sink`.
    ///
    /// # Errors
    /// Only [`io::ErrorKind::WouldBlock`]; what was not sent is kept. A datagram that the kernel
    /// refuses on its own for any other reason counts as lost on the way.
    fn send(&mut self, gso: &mut bool, mut sink: impl Sink) -> io::Result<()> {
        let Some(transmit) = self.transmit else {
            return Ok(());
        };
        let size = transmit.size.min(self.bytes.len());
        let segment = transmit.segment_size.unwrap_or(size).max(1);
        let train = segment * (limits::UDP_PAYLOAD_MAX / segment).clamp(1, limits::SEGMENTS_MAX);
        while self.sent < size {
            let rest = &self.bytes[self.sent..size];
            let as_train = *gso && !self.one_by_one && rest.len() > segment;
            let of = |length: usize| quinn_udp::Transmit {
                destination: transmit.destination,
                ecn: transmit.ecn.map(to_codepoint),
                contents: &rest[..length.min(rest.len())],
                segment_size: as_train.then_some(segment),
                src_ip: None,
            };
            if !as_train && rest.len() > segment {
                match sink.take_many(&of(rest.len()), segment) {
                    Some(Ok(taken)) if taken > 0 => {
                        self.sent += taken;
                        *gso = *gso && !self.one_by_one;
                        continue;
                    }
                    Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Err(error);
                    }
                    // The first one is the problem: it is tried alone.
                    _ => {}
                }
            }
            let length = rest.len().min(if as_train { train } else { segment });
            match sink.take(&of(length)) {
                Ok(()) => {
                    self.sent += length;
                    // The same bytes pass one by one: it was the train that the kernel, the
                    // network card or the route does not take.
                    *gso = *gso && !self.one_by_one;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) if as_train => {
                    tracing::debug!(%error, "a train of packets was refused; sending one by one");
                    self.one_by_one = true;
                }
                Err(error) => {
                    tracing::trace!(%error, destination = %transmit.destination, "not sent");
                    self.sent += length;
                }
            }
        }
        Ok(())
    }
}

const fn to_codepoint(mark: EcnMark) -> EcnCodepoint {
    match mark {
        EcnMark::Ect0 => EcnCodepoint::Ect0,
        EcnMark::Ect1 => EcnCodepoint::Ect1,
        EcnMark::Ce => EcnCodepoint::Ce,
    }
}

const fn from_codepoint(codepoint: EcnCodepoint) -> EcnMark {
    match codepoint {
        EcnCodepoint::Ect0 => EcnMark::Ect0,
        EcnCodepoint::Ect1 => EcnMark::Ect1,
        EcnCodepoint::Ce => EcnMark::Ce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<F: FnMut(&quinn_udp::Transmit<'_>) -> io::Result<()>> Sink for F {
        fn take(&mut self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
            self(transmit)
        }
    }

    /// Takes as many datagrams together as it has room for, and none that begins with `refused`.
    struct Many {
        room: usize,
        refused: u8,
        calls: Vec<Vec<u8>>,
    }

    impl Sink for &mut Many {
        fn take(&mut self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
            self.calls.push(transmit.contents.to_vec());
            match transmit.contents[0] == self.refused {
                true => Err(io::Error::from_raw_os_error(libc_error::EMSGSIZE)),
                false => Ok(()),
            }
        }

        fn take_many(
            &mut self,
            transmit: &quinn_udp::Transmit<'_>,
            segment: usize,
        ) -> Option<io::Result<usize>> {
            assert_eq!(transmit.segment_size, None, "no train");
            let mut taken = Vec::new();
            for datagram in transmit.contents.chunks(segment).take(self.room) {
                if datagram[0] == self.refused {
                    break;
                }
                taken.extend_from_slice(datagram);
            }
            if self.room == 0 {
                return Some(Err(io::ErrorKind::WouldBlock.into()));
            }
            if taken.is_empty() {
                return Some(Err(io::Error::from_raw_os_error(libc_error::EMSGSIZE)));
            }
            self.calls.push(taken.clone());
            Some(Ok(taken.len()))
        }
    }

    #[test]
    fn without_offload_many_datagrams_go_in_one_call_and_a_refused_one_costs_only_itself() {
        let mut many = Many {
            room: 10,
            refused: 3,
            calls: Vec::new(),
        };
        batch().send(&mut false, &mut many).unwrap();
        let expected: [&[u8]; 3] = [&[0, 1, 2], &[3, 4, 5], &[6, 7, 8, 9]];
        assert_eq!(many.calls, expected, "the second one was tried alone");
    }

    #[test]
    fn what_the_socket_has_no_room_for_in_one_call_is_kept() {
        let mut many = Many {
            room: 2,
            refused: 255,
            calls: Vec::new(),
        };
        let mut batch = batch();
        batch.send(&mut false, &mut many).unwrap();
        assert_eq!(many.calls, [(0..6).collect::<Vec<u8>>(), (6..10).collect()]);
        batch.sent = 3;
        many.room = 0;
        assert!(batch.send(&mut false, &mut many).is_err());
        assert_eq!(batch.sent, 3);
    }

    /// Ten bytes in segments of three: 012 345 678 9.
    fn batch() -> Batch {
        Batch {
            transmit: Some(Transmit {
                destination: SocketAddr::from(([127, 0, 0, 1], 9)),
                ecn: Some(EcnMark::Ect0),
                size: 10,
                segment_size: Some(3),
            }),
            bytes: (0..10).collect(),
            sent: 0,
            one_by_one: false,
        }
    }

    #[test]
    fn a_receive_call_takes_few_trains_or_many_datagrams() {
        let most = RECEIVE_BUFFERS;
        assert_eq!(buffers_for(4, 4 * 65_340), 4.min(most));
        assert_eq!(buffers_for(1, 1_452), 4.min(most), "a lone one");
        assert_eq!(buffers_for(4, 4 * 1_452), 8.min(most));
        assert_eq!(buffers_for(100, 100 * 1_452), most);
        assert_eq!(buffers_for(0, 0), 4.min(most));
    }

    #[test]
    fn sends_a_train_in_one_call_when_the_kernel_takes_it() {
        let (mut gso, mut calls) = (true, Vec::new());
        batch()
            .send(&mut gso, |transmit: &quinn_udp::Transmit<'_>| {
                calls.push((transmit.contents.to_vec(), transmit.segment_size));
                Ok(())
            })
            .unwrap();
        assert_eq!(calls, [((0..10).collect::<Vec<u8>>(), Some(3))]);
        assert!(gso);
    }

    #[test]
    fn resends_a_refused_train_one_by_one_and_loses_nothing() {
        for kind in [libc_error::EIO, libc_error::EINVAL, libc_error::EMSGSIZE] {
            let (mut gso, mut sent) = (true, Vec::new());
            batch()
                .send(&mut gso, |transmit: &quinn_udp::Transmit<'_>| {
                    if transmit.segment_size.is_some() {
                        return Err(io::Error::from_raw_os_error(kind));
                    }
                    sent.push(transmit.contents.to_vec());
                    Ok(())
                })
                .unwrap();
            assert_eq!(sent, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8], vec![9]]);
            assert!(!gso, "the next batch would be refused again");
        }
    }

    #[test]
    fn keeps_offload_when_the_destination_is_the_problem() {
        let mut gso = true;
        batch()
            .send(&mut gso, |_: &quinn_udp::Transmit<'_>| {
                Err(io::Error::from_raw_os_error(libc_error::EINVAL))
            })
            .unwrap();
        assert!(gso);
    }

    #[test]
    fn keeps_what_would_block_and_goes_on_from_there() {
        let (mut gso, mut sent, mut room) = (false, Vec::new(), 2);
        let mut batch = batch();
        let mut send = |transmit: &quinn_udp::Transmit<'_>| {
            if room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            room -= 1;
            sent.extend_from_slice(transmit.contents);
            Ok(())
        };
        assert!(batch.send(&mut gso, &mut send).is_err());
        assert_eq!(batch.sent, 6);
        let mut send = |transmit: &quinn_udp::Transmit<'_>| {
            sent.extend_from_slice(transmit.contents);
            Ok(())
        };
        batch.send(&mut gso, &mut send).unwrap();
        assert_eq!(sent, (0..10).collect::<Vec<u8>>());
    }

    #[test]
    fn splits_a_train_above_the_largest_udp_payload() {
        let mut large = batch();
        large.bytes = vec![0; 70_000];
        large.transmit = Some(Transmit {
            size: 70_000,
            segment_size: Some(1_400),
            ..large.transmit.unwrap()
        });
        let (mut gso, mut lengths) = (true, Vec::new());
        large
            .send(&mut gso, |transmit: &quinn_udp::Transmit<'_>| {
                lengths.push(transmit.contents.len());
                Ok(())
            })
            .unwrap();
        assert_eq!(lengths, [46 * 1_400, 4 * 1_400]);
    }

    /// Linux values; only compared with themselves here.
    mod libc_error {
        pub(super) const EIO: i32 = 5;
        pub(super) const EINVAL: i32 = 22;
        pub(super) const EMSGSIZE: i32 = 90;
    }
}
