//! Two programs in one: a server that echoes streams and a client, encrypted, with identities.
//!
//! `cargo run -p dunlin-node --example embed`

use std::error::Error;
use std::sync::Arc;

use dunlin_session::{
    Identity, PeerInfo, SessionAcceptor, SessionConfig, SessionInitiator, provider,
};
use dunlin_transport::driver::{Endpoint, EndpointOptions, OsRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (crypto, config) = (provider::aws_lc(), SessionConfig::default());

    // The server: an identity, an acceptor, an endpoint.
    let alice = Arc::new(Identity::generate(&mut OsRandom));
    let acceptor =
        SessionAcceptor::new(alice.clone(), config.clone(), crypto.clone(), &mut OsRandom);
    let options = EndpointOptions::default().with_acceptor(Box::new(acceptor));
    let server = Endpoint::bind("127.0.0.1:0".parse()?, options)?;
    let address = server.local_addr();
    let serving = tokio::spawn(async move {
        while let Some(connection) = server.accept().await {
            while let Ok((mut send, mut recv)) = connection.accept_stream().await {
                tokio::io::copy(&mut recv, &mut send).await?;
                send.finish().await?;
            }
        }
        Ok::<_, std::io::Error>(())
    });

    // The client insists on Alice's node ID: anybody else cannot even answer.
    let bob = Arc::new(Identity::generate(&mut OsRandom));
    let initiator =
        SessionInitiator::new(bob, config, crypto, Some(alice.node_id()), &mut OsRandom);
    let client = Endpoint::bind("127.0.0.1:0".parse()?, EndpointOptions::default())?;
    let connection = client.connect(address, Box::new(initiator)).await?;
    let peer = connection
        .peer()
        .ok_or("the handshake is complete, so there is a peer")?;
    let peer = PeerInfo::from_identity(&peer).ok_or("a session tells who the peer is")?;
    println!("connected to {}", peer.node_id);
    // A connection that lives long: does the other end still have its key?
    connection.challenge_peer().await?;
    println!("proven once more");

    let (mut send, mut recv) = connection.open_stream().await?;
    send.write_all(b"hello over our own packets").await?;
    send.shutdown().await?;
    let mut echo = String::new();
    recv.read_to_string(&mut echo).await?;
    println!("echo: {echo}");

    println!("{}", connection.close(0, "done").await);
    serving.abort();
    Ok(())
}
