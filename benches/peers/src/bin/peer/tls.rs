//! TLS 1.3 over TCP (tokio-rustls).

use std::net::SocketAddr;
use std::sync::Arc;

use dunlin_peers::bytestream::{Endpoint, Handshake};
use dunlin_peers::cli::{Mode, Setup};
use dunlin_peers::{Failure, Result, SOCKET_BUFFER, TCP_MORE_HEADER, tls};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// One end.
pub enum Tls {
    Server(TcpListener, TlsAcceptor),
    Client(TlsConnector, u16),
}

impl Endpoint for Tls {
    const NAME: &'static str = "tls";
    type Stream = TlsStream<TcpStream>;

    async fn server(listen: SocketAddr, setup: &Setup) -> Result<Self> {
        let socket = new_socket(listen, setup.mtu)?;
        socket.bind(listen)?;
        let config = tls::server_config(setup.kx);
        Ok(Self::Server(
            socket.listen(1024)?,
            TlsAcceptor::from(Arc::new(config)),
        ))
    }

    fn client(mode: Mode, setup: &Setup) -> Result<Self> {
        let config = tls::client_config(setup.kx, mode);
        Ok(Self::Client(
            TlsConnector::from(Arc::new(config)),
            setup.mtu,
        ))
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        match self {
            Self::Server(listener, _) => Ok(listener.local_addr()?),
            Self::Client(..) => Err("a client does not listen".into()),
        }
    }

    async fn connect(&self, server: SocketAddr) -> Result<Self::Stream> {
        let Self::Client(connector, mtu) = self else {
            return Err("a server does not connect".into());
        };
        let stream = new_socket(server, *mtu)?.connect(server).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(tls::SERVER_NAME)?;
        Ok(connector.connect(name, stream).await?.into())
    }

    async fn accept(&mut self) -> Result<Handshake<Self::Stream>> {
        let Self::Server(listener, acceptor) = self else {
            return Err("a client does not listen".into());
        };
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        Ok(Box::pin(async move {
            let stream = acceptor.accept(stream).await.map_err(Failure::from)?;
            Ok(stream.into())
        }))
    }
}

fn new_socket(address: SocketAddr, mtu: u16) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    let reference = SockRef::from(&socket);
    reference.set_send_buffer_size(SOCKET_BUFFER)?;
    reference.set_recv_buffer_size(SOCKET_BUFFER)?;
    // The kernel takes segments of at most 32,767 bytes here; without it the device decides.
    let segment = u32::from(mtu.saturating_sub(TCP_MORE_HEADER));
    if segment <= 32_767 {
        reference.set_tcp_mss(segment)?;
    }
    Ok(socket)
}
