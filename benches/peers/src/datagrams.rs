//! A UDP socket with segmentation offload and receive coalescing, for stacks that bring none.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::socket;

/// Largest batch in bytes: what the kernel takes for one UDP datagram over IPv4.
const BATCH_BYTES: usize = 65_507;
/// Batches that one system call receives.
const RECEIVED_AT_ONCE: usize = 8;

/// A socket and the memory to receive into.
pub struct Datagrams {
    socket: UdpSocket,
    state: UdpSocketState,
    segments: usize,
    local: SocketAddr,
}

/// What one system call received.
pub struct Received {
    buffers: Vec<Vec<u8>>,
    metas: [RecvMeta; RECEIVED_AT_ONCE],
    count: usize,
}

impl Default for Received {
    fn default() -> Self {
        Self {
            buffers: vec![vec![0; 1 << 16]; RECEIVED_AT_ONCE],
            metas: [RecvMeta::default(); RECEIVED_AT_ONCE],
            count: 0,
        }
    }
}

impl Received {
    /// Each datagram and who sent it.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (SocketAddr, &mut [u8])> {
        let filled = self.buffers.iter_mut().zip(&self.metas).take(self.count);
        filled.flat_map(|(buffer, meta)| {
            let bytes = buffer.get_mut(..meta.len).unwrap_or_default();
            let datagrams = bytes.chunks_mut(meta.stride.max(1));
            datagrams.map(|datagram| (meta.addr, datagram))
        })
    }
}

impl Datagrams {
    /// Binds; without `gso` each packet is given to the kernel by itself.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn bind(local: SocketAddr, gso: bool) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket::udp(local)?)?;
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self {
            segments: if gso { state.max_gso_segments() } else { 1 },
            local: socket.local_addr()?,
            socket,
            state,
        })
    }

    /// Where it is bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The most packets of `size` bytes that [`Self::send`] takes at once.
    #[must_use]
    pub fn most_segments(&self, size: usize) -> usize {
        self.segments.min(BATCH_BYTES / size.max(1)).max(1)
    }

    /// Waits until the kernel takes a batch of packets of `size` bytes; the last may be shorter.
    ///
    /// # Errors
    /// When the system does not send.
    pub async fn send(&self, to: SocketAddr, batch: &[u8], size: usize) -> io::Result<()> {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: batch,
            segment_size: (batch.len() > size).then_some(size),
            src_ip: None,
        };
        let send = || self.state.try_send((&self.socket).into(), &transmit);
        self.socket.async_io(Interest::WRITABLE, send).await
    }

    /// Waits for datagrams.
    ///
    /// # Errors
    /// When the system does not receive.
    pub async fn receive(&self, into: &mut Received) -> io::Result<()> {
        into.count = self
            .socket
            .async_io(Interest::READABLE, || {
                let mut slices = into
                    .buffers
                    .iter_mut()
                    .map(|buffer| IoSliceMut::new(buffer));
                let mut slices: [IoSliceMut<'_>; RECEIVED_AT_ONCE] = std::array::from_fn(|_| {
                    slices.next().unwrap_or_else(|| IoSliceMut::new(&mut []))
                });
                let socket = (&self.socket).into();
                self.state.recv(socket, &mut slices, &mut into.metas)
            })
            .await?;
        Ok(())
    }
}
