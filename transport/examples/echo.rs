//! An echo server and its client over the plain profile (a checksum, no secrecy).
//!
//! `cargo run -p dunlin-transport --example echo` runs both in one process and prints what came
//! back; with `-- serve ADDRESS` and `-- call ADDRESS TEXT` they run apart.

use std::error::Error;
use std::net::SocketAddr;

use dunlin_transport::driver::{Connection, Endpoint, EndpointOptions};
use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(bind_server(address.parse()?)?).await,
        ["call", address, text] => call(address.parse()?, text).await,
        [] => {
            let server = bind_server("127.0.0.1:0".parse()?)?;
            let address = server.local_addr();
            tokio::spawn(serve(server));
            call(address, "hello, echo").await
        }
        _ => Err("usage: echo [serve ADDRESS | call ADDRESS TEXT]".into()),
    }
}

fn bind_server(address: SocketAddr) -> Result<Endpoint> {
    let options = EndpointOptions::default().with_acceptor(Box::new(PlainAcceptor::new()));
    let endpoint = Endpoint::bind(address, options)?;
    println!("listening on {}", endpoint.local_addr());
    Ok(endpoint)
}

async fn serve(endpoint: Endpoint) -> Result {
    while let Some(connection) = endpoint.accept().await {
        tokio::spawn(async move {
            if let Err(error) = echo(&connection).await {
                println!("{:?}: {error}", connection.remote_address());
            }
        });
    }
    Ok(())
}

/// Returns every stream's bytes until the peer closes.
async fn echo(connection: &Connection) -> Result {
    loop {
        let (mut send, mut receive) = connection.accept_stream().await?;
        tokio::io::copy(&mut receive, &mut send).await?;
        send.finish().await?;
    }
}

async fn call(address: SocketAddr, text: &str) -> Result {
    let any: SocketAddr = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    }
    .parse()?;
    let endpoint = Endpoint::bind(any, EndpointOptions::default())?;
    let connection = endpoint
        .connect(address, Box::new(PlainInitiator::new()))
        .await?;
    let (mut send, mut receive) = connection.open_stream().await?;
    send.write_all(text.as_bytes()).await?;
    send.finish().await?;
    let mut answer = String::new();
    receive.read_to_string(&mut answer).await?;
    println!("{answer}");
    connection.close(0, "done").await;
    Ok(())
}
