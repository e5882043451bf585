//! Every congestion controller over real UDP sockets on loopback.
#![cfg(feature = "tokio")]

use std::net::{Ipv4Addr, SocketAddr};

use dunlin_transport::EndpointConfig;
use dunlin_transport::congestion::ControllerChoice;
use dunlin_transport::driver::{Endpoint, EndpointOptions};
use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const BYTES: usize = 4 << 20;

async fn transfer(choice: ControllerChoice) -> Result {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = EndpointConfig::default();
    config.transport.controller = choice;
    let options = || EndpointOptions::default().with_config(config.clone());
    let accepting = options().with_acceptor(Box::new(PlainAcceptor::new()));
    let server = Endpoint::bind(loopback, accepting)?;
    let client = Endpoint::bind(loopback, options())?;
    let dialling = client.connect(server.local_addr(), Box::new(PlainInitiator::new()));
    let (dialled, accepted) = tokio::join!(dialling, server.accept());
    let (dialled, accepted) = (dialled?, accepted.ok_or("the server stopped")?);
    let data: Vec<u8> = (0..=250).cycle().take(BYTES).collect();
    let mut send = dialled.open_uni().await?;
    let writing = async {
        send.write_all(&data).await?;
        send.finish().await?;
        Ok::<_, std::io::Error>(())
    };
    let reading = async {
        let mut receive = accepted.accept_uni().await?;
        let mut read = Vec::new();
        receive.read_to_end(&mut read).await?;
        Ok::<_, std::io::Error>(read)
    };
    let (written, read) = tokio::join!(writing, reading);
    written?;
    assert!(read? == data, "what was read differs");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_controller_carries_a_transfer() -> Result {
    for choice in [
        ControllerChoice::NewReno,
        ControllerChoice::Cubic,
        ControllerChoice::Bbr,
        ControllerChoice::BbrTolerant,
    ] {
        transfer(choice).await?;
    }
    Ok(())
}
