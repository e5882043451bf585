//! QUIC (quinn) behind the command line of `dunlin bench`.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use dunlin_peers::cli::{Cli, Client, KeyExchange, Mode, Role};
use dunlin_peers::report::{Measurement, Report};
use dunlin_peers::{REQUEST_SIZE, SOCKET_BUFFER, UDP_PAYLOAD, WINDOW, WRITE_SIZE, tls};
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use socket2::{Domain, Protocol, Socket, Type};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    match Cli::parse().role {
        Role::Server { listen, kx } => serve(listen, kx).await,
        Role::Client(arguments) => {
            measure(&arguments).await?.print(arguments.json);
            Ok(())
        }
    }
}

async fn serve(listen: SocketAddr, kx: KeyExchange) -> Result<(), Failure> {
    let crypto = QuicServerConfig::try_from(tls::server_config(kx))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport_config()));
    let endpoint = new_endpoint(listen, Some(config))?;
    println!("quinn@{}", endpoint.local_addr()?);
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(async move {
            let served = match incoming.await {
                Ok(connection) => serve_connection(&connection).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = served {
                eprintln!("connection failed: {error}");
            }
        });
    }
    Ok(())
}

async fn serve_connection(connection: &Connection) -> Result<(), Failure> {
    let mode = connection
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok())
        .and_then(|data| data.protocol)
        .and_then(|name| Mode::from_name(&name));
    match mode.ok_or("the client names no mode")? {
        Mode::Bulk => {
            let (mut send, mut receive) = connection.accept_bi().await?;
            let mut total: u64 = 0;
            while let Some(chunk) = receive.read_chunk(WRITE_SIZE, true).await? {
                total += chunk.bytes.len() as u64;
            }
            send.write_all(&total.to_be_bytes()).await?;
            send.finish()?;
        }
        Mode::Rr | Mode::Handshake => {
            let mut request = [0; REQUEST_SIZE];
            // The client ends the run by closing the connection.
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                receive.read_exact(&mut request).await?;
                send.write_all(&request).await?;
                send.finish()?;
            }
        }
    }
    connection.closed().await;
    Ok(())
}

async fn measure(arguments: &Client) -> Result<Report, Failure> {
    let server = arguments.socket_addr()?;
    let local: SocketAddr = if server.is_ipv4() {
        "0.0.0.0:0".parse()?
    } else {
        "[::]:0".parse()?
    };
    let crypto = QuicClientConfig::try_from(tls::client_config(arguments.kx, arguments.mode))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport_config()));
    let mut endpoint = new_endpoint(local, None)?;
    endpoint.set_default_client_config(config);

    let report = match arguments.mode {
        Mode::Bulk => bulk(&connect(&endpoint, server).await?, arguments.seconds).await?,
        Mode::Rr => requests(&connect(&endpoint, server).await?, arguments.seconds).await?,
        Mode::Handshake => handshakes(&endpoint, server, arguments.seconds).await?,
    };
    endpoint.close(VarInt::from_u32(0), b"");
    Ok(report)
}

async fn bulk(connection: &Connection, seconds: f64) -> Result<Report, Failure> {
    let block = vec![0x5a; WRITE_SIZE];
    let run = Measurement::begin("quinn", Mode::Bulk, seconds);
    let (mut send, mut receive) = connection.open_bi().await?;
    let mut sent: u64 = 0;
    while !run.is_over() {
        send.write_all(&block).await?;
        sent += block.len() as u64;
    }
    send.finish()?;
    let mut confirmed = [0; 8];
    receive.read_exact(&mut confirmed).await?;
    if u64::from_be_bytes(confirmed) != sent {
        return Err("the server counted other bytes than were sent".into());
    }
    Ok(run.end_bulk(sent))
}

async fn requests(connection: &Connection, seconds: f64) -> Result<Report, Failure> {
    request(connection).await?;
    let mut times = Vec::new();
    let run = Measurement::begin("quinn", Mode::Rr, seconds);
    while !run.is_over() {
        let began = Instant::now();
        request(connection).await?;
        times.push(began.elapsed());
    }
    Ok(run.end_times(times))
}

/// A request on a stream of its own.
async fn request(connection: &Connection) -> Result<(), Failure> {
    let mut buffer = [0x5a; REQUEST_SIZE];
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(&buffer).await?;
    send.finish()?;
    receive.read_exact(&mut buffer).await?;
    Ok(())
}

async fn handshakes(
    endpoint: &Endpoint,
    server: SocketAddr,
    seconds: f64,
) -> Result<Report, Failure> {
    let mut times = Vec::new();
    let run = Measurement::begin("quinn", Mode::Handshake, seconds);
    while !run.is_over() {
        let began = Instant::now();
        let connection = connect(endpoint, server).await?;
        // Once the server has answered, it has accepted our proof.
        request(&connection).await?;
        times.push(began.elapsed());
        connection.close(VarInt::from_u32(0), b"");
    }
    Ok(run.end_times(times))
}

async fn connect(endpoint: &Endpoint, server: SocketAddr) -> Result<Connection, Failure> {
    Ok(endpoint.connect(server, tls::SERVER_NAME)?.await?)
}

/// One packet size from the first packet on, windows that are no limit, the rest as it comes
/// (CUBIC, segmentation offload on).
fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .initial_mtu(UDP_PAYLOAD)
        .min_mtu(UDP_PAYLOAD)
        .mtu_discovery_config(None)
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW));
    config
}

fn new_endpoint(local: SocketAddr, server: Option<ServerConfig>) -> Result<Endpoint, Failure> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.bind(&local.into())?;
    let runtime = Arc::new(TokioRuntime);
    Ok(Endpoint::new(
        EndpointConfig::default(),
        server,
        socket.into(),
        runtime,
    )?)
}
