//! TLS 1.3 over TCP (tokio-rustls) behind the command line of `dunlin bench`.
//!
//! TCP has one stream a connection: `rr` sends its requests one after the other on one connection.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use dunlin_peers::cli::{Cli, Client, KeyExchange, Mode, Role};
use dunlin_peers::report::{Measurement, Report};
use dunlin_peers::{REQUEST_SIZE, SOCKET_BUFFER, TCP_SEGMENT, WRITE_SIZE, tls};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

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
    let socket = new_socket(listen)?;
    socket.bind(listen)?;
    let listener: TcpListener = socket.listen(1024)?;
    let acceptor = TlsAcceptor::from(Arc::new(tls::server_config(kx)));
    println!("tls@{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Err(error) = serve_connection(&acceptor, stream).await {
                eprintln!("connection failed: {error}");
            }
        });
    }
}

async fn serve_connection(acceptor: &TlsAcceptor, stream: TcpStream) -> Result<(), Failure> {
    let mut stream: server::TlsStream<TcpStream> = acceptor.accept(stream).await?;
    let mode = stream.get_ref().1.alpn_protocol().and_then(Mode::from_name);
    match mode.ok_or("the client names no mode")? {
        Mode::Bulk => {
            let mut buffer = vec![0; WRITE_SIZE];
            let mut total: u64 = 0;
            loop {
                match stream.read(&mut buffer).await? {
                    0 => break,
                    length => total += length as u64,
                }
            }
            stream.write_all(&total.to_be_bytes()).await?;
            stream.shutdown().await?;
        }
        Mode::Rr | Mode::Handshake => {
            let mut request = [0; REQUEST_SIZE];
            // An end of the stream between two requests is the client's farewell.
            while stream.read_exact(&mut request).await.is_ok() {
                stream.write_all(&request).await?;
                stream.flush().await?;
            }
        }
    }
    Ok(())
}

async fn measure(arguments: &Client) -> Result<Report, Failure> {
    let connector = TlsConnector::from(Arc::new(tls::client_config(arguments.kx, arguments.mode)));
    let server = arguments.socket_addr()?;
    match arguments.mode {
        Mode::Bulk => bulk(connect(&connector, server).await?, arguments.seconds).await,
        Mode::Rr => requests(connect(&connector, server).await?, arguments.seconds).await,
        Mode::Handshake => handshakes(&connector, server, arguments.seconds).await,
    }
}

async fn bulk(mut stream: client::TlsStream<TcpStream>, seconds: f64) -> Result<Report, Failure> {
    let block = vec![0x5a; WRITE_SIZE];
    let run = Measurement::begin("tls", Mode::Bulk, seconds);
    let mut sent: u64 = 0;
    while !run.is_over() {
        stream.write_all(&block).await?;
        sent += block.len() as u64;
    }
    stream.shutdown().await?;
    let mut confirmed = [0; 8];
    stream.read_exact(&mut confirmed).await?;
    if u64::from_be_bytes(confirmed) != sent {
        return Err("the server counted other bytes than were sent".into());
    }
    Ok(run.end_bulk(sent))
}

async fn requests(
    mut stream: client::TlsStream<TcpStream>,
    seconds: f64,
) -> Result<Report, Failure> {
    request(&mut stream).await?;
    let mut times = Vec::new();
    let run = Measurement::begin("tls", Mode::Rr, seconds);
    while !run.is_over() {
        let began = Instant::now();
        request(&mut stream).await?;
        times.push(began.elapsed());
    }
    Ok(run.end_times(times))
}

async fn request(stream: &mut client::TlsStream<TcpStream>) -> Result<(), Failure> {
    let mut buffer = [0x5a; REQUEST_SIZE];
    stream.write_all(&buffer).await?;
    stream.flush().await?;
    stream.read_exact(&mut buffer).await?;
    Ok(())
}

async fn handshakes(
    connector: &TlsConnector,
    server: SocketAddr,
    seconds: f64,
) -> Result<Report, Failure> {
    let mut times = Vec::new();
    let run = Measurement::begin("tls", Mode::Handshake, seconds);
    while !run.is_over() {
        let began = Instant::now();
        let mut stream = connect(connector, server).await?;
        // Once the server has answered, it has accepted our proof.
        request(&mut stream).await?;
        times.push(began.elapsed());
    }
    Ok(run.end_times(times))
}

async fn connect(
    connector: &TlsConnector,
    server: SocketAddr,
) -> Result<client::TlsStream<TcpStream>, Failure> {
    let stream = new_socket(server)?.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(connector
        .connect(ServerName::try_from(tls::SERVER_NAME)?, stream)
        .await?)
}

fn new_socket(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    let reference = SockRef::from(&socket);
    reference.set_send_buffer_size(SOCKET_BUFFER)?;
    reference.set_recv_buffer_size(SOCKET_BUFFER)?;
    reference.set_tcp_mss(TCP_SEGMENT)?;
    Ok(socket)
}
