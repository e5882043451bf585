//! KCP (tokio_kcp). It neither encrypts nor has a
//! handshake.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_peers::bytestream::{Endpoint, Handshake};
use dunlin_peers::cli::{Mode, Setup};
use dunlin_peers::{Result, WINDOW, socket};
use tokio::net::UdpSocket;
use tokio_kcp::{KcpConfig, KcpListener, KcpNoDelayConfig, KcpStream};

/// One end.
pub struct Kcp {
    config: KcpConfig,
    listener: Option<KcpListener>,
}

impl Endpoint for Kcp {
    const NAME: &'static str = "kcp";
    type Stream = KcpStream;

    async fn server(listen: SocketAddr, setup: &Setup) -> Result<Self> {
        let config = config(setup);
        let socket = UdpSocket::from_std(socket::udp(listen)?)?;
        let listener = KcpListener::from_socket(config, socket).await?;
        Ok(Self {
            config,
            listener: Some(listener),
        })
    }

    fn client(mode: Mode, setup: &Setup) -> Result<Self> {
        if mode == Mode::Handshake {
            return Err("KCP has no handshake".into());
        }
        Ok(Self {
            config: config(setup),
            listener: None,
        })
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        let listener = self.listener.as_ref().ok_or("a client does not listen")?;
        Ok(listener.local_addr()?)
    }

    async fn connect(&self, server: SocketAddr) -> Result<KcpStream> {
        let socket = UdpSocket::from_std(socket::udp(socket::client_address(server))?)?;
        Ok(KcpStream::connect_with_socket(&self.config, socket, server).await?)
    }

    async fn accept(&mut self) -> Result<Handshake<KcpStream>> {
        let listener = self.listener.as_mut().ok_or("a client does not listen")?;
        let (stream, _) = listener.accept().await?;
        Ok(Box::pin(async { Ok(stream) }))
    }
}

/// Its fastest settings, which have no congestion control, with the window of the others.
fn config(setup: &Setup) -> KcpConfig {
    let window = u16::try_from(WINDOW / u32::from(setup.mtu)).unwrap_or(u16::MAX);
    KcpConfig {
        mtu: usize::from(setup.mtu),
        nodelay: KcpNoDelayConfig::fastest(),
        wnd_size: (window, window),
        session_expire: Duration::from_secs(90),
        flush_write: true,
        flush_acks_input: true,
        stream: true,
        ..KcpConfig::default()
    }
}
