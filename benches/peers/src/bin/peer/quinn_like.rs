//! What quinn and noq have in common: nearly all. Each module names its own `api`, and says how the
//! next piece of a stream is read.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_peers::cli::{Mode, Setup};
use dunlin_peers::stack::{Connection, Endpoint, Handshake, Receiver, Sender};
use dunlin_peers::{Result, UDP_PAYLOAD, WINDOW, socket, tls};

use super::api::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use super::api::{
    self, ClientConfig, EndpointConfig, MtuDiscoveryConfig, RecvStream, SendStream, ServerConfig,
    TokioRuntime, TransportConfig, VarInt,
};
use super::{NAME, next_chunk};

/// One end.
pub struct Quic {
    endpoint: api::Endpoint,
    client: Option<ClientConfig>,
}

/// A connection.
pub struct Link(api::Connection);

/// The writing half of a stream.
pub struct Out(SendStream);

/// The reading half of a stream.
pub struct In(RecvStream);

impl Endpoint for Quic {
    const NAME: &'static str = NAME;
    type Connection = Link;

    fn server(listen: SocketAddr, setup: &Setup) -> Result<Self> {
        let crypto = QuicServerConfig::try_from(tls::server_config(setup.kx))?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::new(transport_config(setup)));
        bind(listen, setup, Some(config))
    }

    fn client(server: SocketAddr, mode: Mode, setup: &Setup) -> Result<Self> {
        let crypto = QuicClientConfig::try_from(tls::client_config(setup.kx, mode))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport_config(setup)));
        let quic = bind(socket::client_address(server), setup, None)?;
        Ok(Self {
            client: Some(config),
            ..quic
        })
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.endpoint.local_addr()?)
    }

    async fn connect(&self, server: SocketAddr) -> Result<Rc<Link>> {
        let config = self.client.clone().ok_or("a server does not connect")?;
        let connecting = self.endpoint.connect_with(config, server, tls::SERVER_NAME);
        let connection = connecting?.await?;
        Ok(Rc::new(Link(connection)))
    }

    async fn accept(&mut self) -> Option<Handshake<Link>> {
        let incoming = self.endpoint.accept().await?;
        Some(Box::pin(async { Ok(Rc::new(Link(incoming.await?))) }))
    }

    async fn shutdown(self) {
        self.endpoint.close(VarInt::from_u32(0), b"");
        self.endpoint.wait_idle().await;
    }
}

impl Connection for Link {
    type Sender = Out;
    type Receiver = In;

    fn mode(&self) -> Option<Mode> {
        let data = self.0.handshake_data()?;
        let data = data.downcast::<HandshakeData>().ok()?;
        Mode::from_name(&data.protocol?)
    }

    async fn open(&self) -> Result<(Out, In)> {
        let (send, receive) = self.0.open_bi().await?;
        Ok((Out(send), In(receive)))
    }

    async fn accept(&self) -> Result<(Out, In)> {
        let (send, receive) = self.0.accept_bi().await?;
        Ok((Out(send), In(receive)))
    }

    async fn open_uni(&self) -> Result<Out> {
        Ok(Out(self.0.open_uni().await?))
    }

    async fn accept_uni(&self) -> Result<In> {
        Ok(In(self.0.accept_uni().await?))
    }

    fn close(&self) {
        self.0.close(VarInt::from_u32(0), b"");
    }
}

impl Sender for Out {
    async fn write_all(&mut self, data: &Bytes) -> Result<()> {
        Ok(self.0.write_chunk(data.clone()).await?)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.0.finish()?)
    }
}

impl Receiver for In {
    async fn read_exact(&mut self, out: &mut [u8]) -> Result<()> {
        Ok(self.0.read_exact(out).await?)
    }

    async fn drain(&mut self) -> Result<u64> {
        let mut total = 0;
        while let Some(chunk) = next_chunk(&mut self.0).await? {
            total += chunk.len() as u64;
        }
        Ok(total)
    }
}

/// One packet size from the first packet on; larger ones than Ethernet carries are searched for, since
/// a handshake of such packets does not come about. Windows that are no limit, the rest as it comes
/// (CUBIC).
fn transport_config(setup: &Setup) -> TransportConfig {
    let mut search = MtuDiscoveryConfig::default();
    search.upper_bound(setup.mtu);
    let mut config = TransportConfig::default();
    config
        .initial_mtu(setup.mtu.min(UDP_PAYLOAD))
        .min_mtu(setup.mtu.min(UDP_PAYLOAD))
        .mtu_discovery_config((setup.mtu > UDP_PAYLOAD).then_some(search))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        .max_concurrent_bidi_streams(VarInt::from_u32(setup.streams))
        .max_concurrent_uni_streams(VarInt::from_u32(setup.streams))
        .enable_segmentation_offload(!setup.no_gso);
    config
}

fn bind(local: SocketAddr, setup: &Setup, server: Option<ServerConfig>) -> Result<Quic> {
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(setup.mtu)?;
    let runtime = Arc::new(TokioRuntime);
    let socket = socket::udp(local)?;
    Ok(Quic {
        endpoint: api::Endpoint::new(config, server, socket, runtime)?,
        client: None,
    })
}
