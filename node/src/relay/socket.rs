//! UDP sockets of the relay, in batches: where the kernel can, one system call receives or sends a
//! train of packets. A relay that costs more than its clients would measure itself.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::limits::DATAGRAM_LEN_MAX;
use super::packets::Packets;

/// Buffers of a batch, each for a datagram or a train of them. Two: what is received, what is sent on, and the
/// system's copies of both stay in a second-level cache of 1 MiB (eight took a tenth more time, measured).
const BUFFERS: usize = if quinn_udp::BATCH_SIZE < 2 {
    quinn_udp::BATCH_SIZE
} else {
    2
};
/// Bytes of a train: what fits an IPv4 packet beside its headers, so that a full one is passed on as one.
const TRAIN_LEN_MAX: usize = 65_507;
const SOCKET_BUFFER_LEN: usize = 4 * 1024 * 1024;

/// A bound, unconnected socket.
#[derive(Debug)]
pub(super) struct BatchSocket {
    io: UdpSocket,
    udp: UdpSocketState,
}

/// Room for what one call receives.
pub(super) struct Inbox {
    bytes: Vec<u8>,
    meta: [RecvMeta; BUFFERS],
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; BUFFERS * DATAGRAM_LEN_MAX],
            meta: [RecvMeta::default(); BUFFERS],
        }
    }

    /// Stands in for one that is in use; receives nothing.
    pub(super) fn empty() -> Self {
        Self {
            bytes: Vec::new(),
            meta: [RecvMeta::default(); BUFFERS],
        }
    }
}

impl BatchSocket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(address);
        let protocol = Some(socket2::Protocol::UDP);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, protocol)?;
        // Bursts must not be lost here but by decision. The system may grant less; no error.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_LEN);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER_LEN);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let io = UdpSocket::from_std(socket.into())?;
        let udp = UdpSocketState::new(UdpSockRef::from(&io))?;
        Ok(Self { io, udp })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Receives one batch and hands each datagram to `take`.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there; what the system says.
    pub(super) fn try_receive(
        &self,
        inbox: &mut Inbox,
        mut take: impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<()> {
        let Inbox { bytes, meta } = inbox;
        let mut chunks = bytes.chunks_exact_mut(DATAGRAM_LEN_MAX);
        let mut slices: [IoSliceMut<'_>; BUFFERS] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let count = self.io.try_io(Interest::READABLE, || {
            self.udp.recv(UdpSockRef::from(&self.io), &mut slices, meta)
        })?;
        for (slice, meta) in slices.iter().zip(meta).take(count) {
            let train = slice.get(..meta.len).unwrap_or_default();
            if train.is_empty() {
                take(meta.addr, train);
            }
            for datagram in train.chunks(meta.stride.max(1)) {
                take(meta.addr, datagram);
            }
        }
        Ok(())
    }

    /// Sends `packets` to `to`, in trains where they have the same size. A packet that the system
    /// refuses is lost, as on any path.
    pub(super) async fn send(&self, to: SocketAddr, packets: &Packets) {
        let most = self.udp.max_gso_segments();
        for (train, segment) in packets.trains(most, TRAIN_LEN_MAX) {
            let is_train = train.len() > segment;
            let sent = self.send_one(to, train, is_train.then_some(segment));
            if sent.await.is_err() && is_train {
                // The kernel or the interface has no segmentation offload after all.
                for packet in train.chunks(segment) {
                    let _ = self.send_one(to, packet, None).await;
                }
            }
        }
    }

    async fn send_one(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let transmit = Transmit {
            destination,
            ecn: None,
            contents,
            segment_size,
            src_ip: None,
        };
        loop {
            let sent = self.io.try_io(Interest::WRITABLE, || {
                self.udp.try_send(UdpSockRef::from(&self.io), &transmit)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.io.writable().await?;
                }
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_of_every_size_arrive_apart_and_in_order() {
        let sender = BatchSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let receiver = BatchSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let sizes = [1_200, 1_200, 1_200, 300, 1_200, 1_200, 1, 0, 9, 9, 1_200];
        let packets: Vec<Vec<u8>> = (0_u8..)
            .zip(sizes)
            .map(|(number, size)| vec![number; size])
            .collect();
        let mut outbox = Packets::default();
        packets.iter().for_each(|packet| outbox.push(packet));
        sender.send(receiver.local_addr().unwrap(), &outbox).await;
        let (mut arrived, mut inbox) = (Vec::new(), Inbox::new());
        while arrived.len() < packets.len() {
            receiver.readable().await.unwrap();
            let taken = receiver.try_receive(&mut inbox, |from, packet| {
                assert_eq!(from, sender.local_addr().unwrap());
                arrived.push(packet.to_vec());
            });
            assert!(taken.is_ok() || taken.unwrap_err().kind() == io::ErrorKind::WouldBlock);
        }
        assert_eq!(arrived, packets);
    }
}
