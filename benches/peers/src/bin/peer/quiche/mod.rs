//! QUIC (quiche). quiche does no input and output: here
//! it has the same sockets with segmentation offload as quinn.

mod driver;
mod link;
mod tls;

use std::net::SocketAddr;
use std::rc::Rc;

use dunlin_peers::cli::{Mode, Setup};
use dunlin_peers::stack::{Endpoint, Handshake};
use dunlin_peers::{Result, socket};

use self::driver::Driver;
use self::link::Link;

/// One end.
pub struct Quic(Rc<Driver>);

impl Endpoint for Quic {
    const NAME: &'static str = "quiche";
    type Connection = Link;

    fn server(listen: SocketAddr, setup: &Setup) -> Result<Self> {
        let config = tls::config(setup, &Mode::ALL)?;
        Ok(Self(Driver::start(listen, config, setup)?))
    }

    fn client(server: SocketAddr, mode: Mode, setup: &Setup) -> Result<Self> {
        let config = tls::config(setup, &[mode])?;
        let local = socket::client_address(server);
        Ok(Self(Driver::start(local, config, setup)?))
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr())
    }

    async fn connect(&self, server: SocketAddr) -> Result<Rc<Link>> {
        let link = self.0.connect(server)?;
        link.established().await?;
        Ok(link)
    }

    async fn accept(&mut self) -> Option<Handshake<Link>> {
        let link = self.0.accept().await;
        Some(Box::pin(async move {
            link.established().await?;
            Ok(link)
        }))
    }

    async fn shutdown(self) {
        self.0.flushed().await;
    }
}
