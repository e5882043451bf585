//! QUIC (s2n-quic), with rustls like the others.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_peers::cli::{Mode, Setup};
use dunlin_peers::stack::{Connection, Endpoint, Handshake, Receiver, Sender};
use dunlin_peers::{Result, WINDOW, socket, tls};
use s2n_quic::client::Connect;
use s2n_quic::connection::{BidirectionalStreamAcceptor, Handle, ReceiveStreamAcceptor};
use s2n_quic::provider::congestion_controller::Cubic;
use s2n_quic::provider::limits::Limits;
use s2n_quic::provider::{io, tls::rustls};
use s2n_quic::stream::{ReceiveStream, SendStream};
use s2n_quic::{Client, Server};

/// One end.
pub enum Quic {
    Server(Server),
    Client(Client),
}

/// A connection.
pub struct Link {
    handle: Handle,
    mode: Option<Mode>,
    both: RefCell<BidirectionalStreamAcceptor>,
    receiving: RefCell<ReceiveStreamAcceptor>,
}

/// The writing half of a stream.
pub struct Out(SendStream);

/// The reading half of a stream, and what of it has come and is not read.
pub struct In(ReceiveStream, Bytes);

impl Endpoint for Quic {
    const NAME: &'static str = "s2n-quic";
    type Connection = Link;

    fn server(listen: SocketAddr, setup: &Setup) -> Result<Self> {
        let server = Server::builder()
            .with_io(udp(listen, setup)?)?
            .with_tls(rustls::Server::from(tls::server_config(setup.kx)))?
            .with_limits(limits(setup)?)?
            .with_congestion_controller(Cubic::default())?
            .start()?;
        Ok(Self::Server(server))
    }

    fn client(server: SocketAddr, mode: Mode, setup: &Setup) -> Result<Self> {
        let client = Client::builder()
            .with_io(udp(socket::client_address(server), setup)?)?
            .with_tls(rustls::Client::from(tls::client_config(setup.kx, mode)))?
            .with_limits(limits(setup)?)?
            .with_congestion_controller(Cubic::default())?
            .start()?;
        Ok(Self::Client(client))
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        match self {
            Self::Server(server) => Ok(server.local_addr()?),
            Self::Client(client) => Ok(client.local_addr()?),
        }
    }

    async fn connect(&self, server: SocketAddr) -> Result<Rc<Link>> {
        let Self::Client(client) = self else {
            return Err("a server does not connect".into());
        };
        let connect = Connect::new(server).with_server_name(tls::SERVER_NAME);
        link(client.connect(connect).await?)
    }

    async fn accept(&mut self) -> Option<Handshake<Link>> {
        let Self::Server(server) = self else {
            return None;
        };
        // It hands a connection out when its handshake is complete.
        let connection = server.accept().await?;
        Some(Box::pin(async { link(connection) }))
    }

    async fn shutdown(self) {
        if let Self::Client(mut client) = self {
            // It fails when there is nobody to tell.
            let _ = client.wait_idle().await;
        }
    }
}

fn link(connection: s2n_quic::Connection) -> Result<Rc<Link>> {
    let mode = connection
        .application_protocol()
        .map(|name| Mode::from_name(&name))?;
    let (handle, acceptor) = connection.split();
    let (both, receiving) = acceptor.split();
    Ok(Rc::new(Link {
        handle,
        mode,
        both: both.into(),
        receiving: receiving.into(),
    }))
}

impl Connection for Link {
    type Sender = Out;
    type Receiver = In;

    fn mode(&self) -> Option<Mode> {
        self.mode
    }

    async fn open(&self) -> Result<(Out, In)> {
        let stream = self.handle.clone().open_bidirectional_stream().await?;
        let (receive, send) = stream.split();
        Ok((Out(send), In(receive, Bytes::new())))
    }

    async fn accept(&self) -> Result<(Out, In)> {
        let next =
            poll_fn(|context| (self.both.borrow_mut()).poll_accept_bidirectional_stream(context));
        let (receive, send) = next.await?.ok_or("the connection is over")?.split();
        Ok((Out(send), In(receive, Bytes::new())))
    }

    async fn open_uni(&self) -> Result<Out> {
        Ok(Out(self.handle.clone().open_send_stream().await?))
    }

    async fn accept_uni(&self) -> Result<In> {
        let next =
            poll_fn(|context| (self.receiving.borrow_mut()).poll_accept_receive_stream(context));
        let stream = next.await?.ok_or("the connection is over")?;
        Ok(In(stream, Bytes::new()))
    }

    fn close(&self) {
        self.handle.close(0_u32.into());
    }
}

impl Sender for Out {
    /// Gives the bytes away, which spares a copy: the interface that this stack recommends.
    async fn write_all(&mut self, data: &Bytes) -> Result<()> {
        Ok(self.0.send(data.clone()).await?)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.0.finish()?)
    }
}

impl Receiver for In {
    async fn read_exact(&mut self, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            if self.1.is_empty() {
                self.1 = self.0.receive().await?.ok_or("the stream is too short")?;
            }
            let taken = self.1.split_to(self.1.len().min(out.len()));
            let (filled, rest) = out.split_at_mut(taken.len());
            filled.copy_from_slice(&taken);
            out = rest;
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<u64> {
        let mut chunks = vec![Bytes::new(); 64];
        let mut total = self.1.len() as u64;
        loop {
            let (count, open) = self.0.receive_vectored(&mut chunks).await?;
            for chunk in chunks.iter_mut().take(count) {
                total += std::mem::take(chunk).len() as u64;
            }
            if !open {
                return Ok(total);
            }
        }
    }
}

/// One packet size from the first packet on.
fn udp(local: SocketAddr, setup: &Setup) -> Result<impl io::Provider> {
    // It counts the headers of IP and UDP in.
    let mtu = setup.mtu.saturating_add(28);
    Ok(io::tokio::Builder::default()
        .with_rx_socket(socket::udp(local)?)?
        .with_base_mtu(mtu)?
        .with_initial_mtu(mtu)?
        .with_max_mtu(mtu)?
        .with_gso(!setup.no_gso)?
        .build()?)
}

/// Windows that are no limit.
fn limits(setup: &Setup) -> Result<Limits> {
    let window = u64::from(WINDOW);
    Ok(Limits::new()
        .with_data_window(window)?
        .with_bidirectional_local_data_window(window)?
        .with_bidirectional_remote_data_window(window)?
        .with_unidirectional_data_window(window)?
        .with_max_send_buffer_size(WINDOW)?
        .with_max_open_local_bidirectional_streams(u64::from(setup.streams))?
        .with_max_open_remote_bidirectional_streams(u64::from(setup.streams))?
        .with_max_open_local_unidirectional_streams(u64::from(setup.streams))?
        .with_max_open_remote_unidirectional_streams(u64::from(setup.streams))?
        .with_max_idle_timeout(Duration::from_secs(30))?)
}
