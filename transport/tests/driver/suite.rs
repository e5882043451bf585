//! The driver over real sockets on loopback, by the carrier that the file which includes this names
//! as `CARRIERS`: every port is the system's choice, every wait is for an event.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::config::EndpointConfig;
use dunlin_transport::driver::{Carrier, CarrierChoice};
use dunlin_transport::driver::{Connection, ConnectionError, Endpoint, EndpointOptions};
use dunlin_transport::error::{ApiMisuse, CloseReason, ReadError, WriteError};
use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::CARRIERS;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn server(config: EndpointConfig) -> Result<Endpoint> {
    let options = EndpointOptions::default()
        .with_carriers(CARRIERS)
        .with_config(config)
        .with_acceptor(Box::new(PlainAcceptor::new()));
    Ok(Endpoint::bind(LOOPBACK, options)?)
}

fn client(config: EndpointConfig) -> Result<Endpoint> {
    Ok(Endpoint::bind(
        LOOPBACK,
        EndpointOptions::default()
            .with_carriers(CARRIERS)
            .with_config(config),
    )?)
}

async fn dial(endpoint: &Endpoint, remote: SocketAddr) -> Result<Connection> {
    Ok(endpoint
        .connect(remote, Box::new(PlainInitiator::new()))
        .await?)
}

/// Both ends of a connection, with their endpoints.
async fn pair(config: EndpointConfig) -> Result<(Endpoint, Connection, Endpoint, Connection)> {
    let (server, client) = (server(config.clone())?, client(config)?);
    let (dialled, accepted) = tokio::join!(dial(&client, server.local_addr()), server.accept());
    let (dialled, accepted) = (dialled?, accepted.ok_or("the server stopped")?);
    for end in [&dialled, &accepted] {
        assert!(CARRIERS.allows(end.carrier()), "{}", end.carrier());
    }
    Ok((client, dialled, server, accepted))
}

/// Bytes that no shift or swap leaves the same.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| step()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn echoes_on_streams_of_both_ends() -> Result {
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    for (opener, answerer) in [(&dialled, &accepted), (&accepted, &dialled)] {
        let (mut send, mut receive) = opener.open_stream().await?;
        let data = pattern(100_000);
        let sent = data.clone();
        let writing = async move {
            send.write_all(&sent).await?;
            send.finish().await?;
            Ok::<_, io::Error>(())
        };
        let answering = async {
            let (mut send, mut receive) = answerer.accept_stream().await?;
            tokio::io::copy(&mut receive, &mut send).await?;
            send.finish().await?;
            Ok::<_, io::Error>(())
        };
        let mut echoed = Vec::new();
        let (written, answered, read) =
            tokio::join!(writing, answering, receive.read_to_end(&mut echoed));
        written?;
        answered?;
        read?;
        assert!(echoed == data, "the echo differs");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivers_a_thousand_messages_once_each() -> Result {
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    let sending = tokio::spawn(async move {
        for index in 0..1_000_u32 {
            let mut message = index.to_be_bytes().to_vec();
            message.resize(4 + (index as usize * 37) % 5_000, 7);
            dialled.send_message(message).await?;
        }
        Ok::<_, io::Error>(dialled)
    });
    let mut seen = vec![false; 1_000];
    for _ in 0..1_000 {
        let message = accepted.receive_message().await?;
        let index = u32::from_be_bytes(message.data[..4].try_into()?) as usize;
        assert_eq!(message.data.len(), 4 + (index * 37) % 5_000);
        assert!(
            !std::mem::replace(&mut seen[index], true),
            "message {index} came twice"
        );
    }
    sending.await??.deliver_message("acknowledged").await?;
    assert_eq!(accepted.receive_message().await?.data, b"acknowledged");
    Ok(())
}

/// On one thread nobody else runs while a task does not wait: the first packets leave all the same.
#[tokio::test]
async fn the_first_of_many_messages_leave_before_the_last_is_made() -> Result {
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    let sent = || dialled.stats().map_or(0, |stats| stats.packets_sent);
    let before = sent();
    for _ in 0..600 {
        dialled.send_message([1; 100]).await?;
    }
    assert!(sent() > before, "nothing left early");
    for _ in 0..600 {
        accepted.receive_message().await?;
    }
    Ok(())
}

#[tokio::test]
async fn shared_bytes_arrive_as_copied_ones_do() -> Result {
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    let data = pattern(700_000);
    let (mut writer, _) = dialled.open_stream().await?;
    let written = async {
        writer.write_all(&data[..1_000]).await?;
        writer
            .write_shared(data[1_000..600_000].to_vec().into())
            .await?;
        writer.write_all(&data[600_000..]).await?;
        writer.finish().await?;
        Ok::<_, io::Error>(())
    };
    let read = async {
        let (_, mut reader) = accepted.accept_stream().await?;
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await?;
        Ok::<_, io::Error>(got)
    };
    let (written, read) = tokio::join!(written, read);
    written?;
    assert!(read? == data, "what arrived differs");
    Ok(())
}

/// Some bytes are copied, some looked at where they lie, some given to whoever copies from buffered
/// readers: together they are what was written.
#[tokio::test]
async fn a_stream_is_read_where_it_lies() -> Result {
    let (_client, ours, _server, theirs) = pair(EndpointConfig::default()).await?;
    let data = pattern(1_000_003);
    let sent = data.clone();
    let writer = tokio::spawn(async move {
        let mut stream = ours.open_uni().await?;
        stream.write_all(&sent).await?;
        stream.finish().await?;
        Result::Ok(())
    });
    let mut stream = theirs.accept_uni().await?;
    let (mut read, mut buffer) = (Vec::new(), [0; 3_000]);
    while read.len() < 500_000 {
        let bytes = stream.fill_some().await?;
        let count = bytes.len().div_ceil(2);
        assert!(count > 0, "bytes are there or come");
        read.extend_from_slice(&bytes[..count]);
        stream.consume(count);
        let count = stream.read_some(&mut buffer).await?;
        read.extend_from_slice(&buffer[..count]);
    }
    tokio::io::copy_buf(&mut stream, &mut read).await?;
    assert!(stream.fill_some().await?.is_empty(), "the end stays");
    assert!(read == data, "{} bytes", read.len());
    writer.await??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivers_records_in_order_on_each_of_many_streams() -> Result {
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    let sizes = [0, 1, 63, 64, 1_344, 16_384, 200_000];
    let mut senders = JoinSet::new();
    for _ in 0..5 {
        let mut send = dialled.open_uni().await?;
        senders.spawn(async move {
            for size in sizes {
                send.send_record(&pattern(size)).await?;
            }
            send.finish().await?;
            Ok::<_, io::Error>(())
        });
    }
    for _ in 0..5 {
        let mut receive = accepted.accept_uni().await?;
        for size in sizes {
            assert_eq!(receive.receive_record(200_000).await?, Some(pattern(size)));
        }
        assert_eq!(receive.receive_record(200_000).await?, None);
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    Ok(())
}

#[tokio::test]
async fn rejects_a_record_above_the_limit_and_one_that_is_cut_off() -> Result {
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    let mut send = dialled.open_uni().await?;
    send.send_record(&[1; 101]).await?;
    let mut receive = accepted.accept_uni().await?;
    let error = receive.receive_record(100).await.expect_err("too long");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let mut send = dialled.open_uni().await?;
    send.write_all(&[0x40, 0x64, 1, 2, 3]).await?;
    send.shutdown().await?;
    let mut receive = accepted.accept_uni().await?;
    let error = receive.receive_record(100).await.expect_err("cut off");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_datagrams_in_both_directions() -> Result {
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    dialled.send_datagram("ping", Some(Duration::from_secs(5)))?;
    let ping = accepted.receive_datagram().await?;
    assert_eq!((ping.data.as_slice(), ping.reliable), (&b"ping"[..], false));
    accepted.send_datagram(pattern(20_000), None)?;
    assert!(dialled.receive_datagram().await?.data == pattern(20_000));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_64_mib_on_a_stream_unchanged() -> Result {
    const CHUNKS: usize = 64;
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    let chunk = pattern(1 << 20);
    let expected = crc32fast::hash(&chunk);
    let writing = tokio::spawn(async move {
        let mut send = dialled.open_uni().await?;
        for _ in 0..CHUNKS {
            send.write_all(&chunk).await?;
        }
        send.finish().await?;
        Ok::<_, io::Error>(dialled)
    });
    let mut receive = accepted.accept_uni().await?;
    let mut buffer = vec![0; 1 << 20];
    for index in 0..CHUNKS {
        receive.read_exact(&mut buffer).await?;
        assert_eq!(crc32fast::hash(&buffer), expected, "MiB {index} differs");
    }
    assert_eq!(
        receive.read(&mut buffer).await?,
        0,
        "the stream is longer than what was sent"
    );
    writing.await??;
    Ok(())
}

#[tokio::test]
async fn a_reader_that_does_not_read_bounds_the_writer() -> Result {
    let mut config = EndpointConfig::default();
    config.transport.receive_window = 1 << 20;
    config.transport.stream_receive_window = 256 << 10;
    config.transport.send_buffer = 512 << 10;
    let (_client, dialled, _server, accepted) = pair(config).await?;
    let mut send = dialled.open_uni().await?;
    let chunk = vec![1; 16 << 10];
    let mut written = 0;
    // Nothing will ever make the blocked write ready but the reader: silence is the proof.
    while let Ok(result) =
        tokio::time::timeout(Duration::from_millis(300), send.write(&chunk)).await
    {
        written += result?;
        assert!(
            written <= (256 + 512) << 10,
            "{written} bytes were accepted"
        );
    }
    assert!(written >= 256 << 10, "only {written} bytes were accepted");
    let mut receive = accepted.accept_uni().await?;
    let mut rest = Vec::new();
    let (finished, read) = tokio::join!(
        async {
            send.write_all(b"end").await?;
            send.finish().await?;
            Ok::<_, io::Error>(())
        },
        receive.read_to_end(&mut rest)
    );
    finished?;
    assert_eq!(read?, written + 3);
    Ok(())
}

#[tokio::test]
async fn a_peer_that_dies_is_noticed() -> Result {
    let mut config = EndpointConfig::default();
    config.transport.idle_timeout = Duration::from_millis(400);
    // The other process: when its runtime goes, its socket goes, and nobody says goodbye.
    let other = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let server_config = config.clone();
    let server = other.spawn(async move { server(server_config) }).await??;
    let client = client(config)?;
    let (dialled, accepted) = tokio::join!(dial(&client, server.local_addr()), server.accept());
    let (dialled, accepted) = (dialled?, accepted.ok_or("stopped")?);
    other.shutdown_background();
    assert_eq!(accepted.closed().await, CloseReason::EndpointStopped);
    // Over UDP by silence, over TCP by what the system says in the name of the dead.
    let (reason, kind) = match dialled.carrier() {
        Carrier::Udp => (CloseReason::TimedOut, io::ErrorKind::TimedOut),
        Carrier::Tcp => (CloseReason::CarrierLost, io::ErrorKind::ConnectionReset),
    };
    assert_eq!(dialled.closed().await, reason);
    let error = io::Error::from(dialled.send_message("anybody?").await.unwrap_err());
    assert_eq!(error.kind(), kind);
    let error = dialled.open_stream().await.unwrap_err();
    assert_eq!(error, reason);
    Ok(())
}

#[tokio::test]
async fn a_graceful_close_delivers_every_accepted_message() -> Result {
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    for index in 0..140_u32 {
        dialled.try_send_message(index.to_be_bytes())?;
    }
    let mut stream = dialled.open_uni().await?;
    stream.write_all(&pattern(300_000)).await?;
    stream.shutdown().await?;
    let receiving = tokio::spawn(async move {
        let mut indices = Vec::new();
        while let Ok(message) = accepted.receive_message().await {
            indices.push(u32::from_be_bytes(message.data[..].try_into()?));
        }
        let mut bytes = Vec::new();
        accepted.accept_uni().await?.read_to_end(&mut bytes).await?;
        Result::Ok((indices, bytes, accepted.closed().await))
    });
    assert_eq!(dialled.close(3, "done").await, CloseReason::Local);
    let (mut indices, bytes, reason) = receiving.await??;
    indices.sort_unstable();
    assert_eq!(indices, (0..140).collect::<Vec<_>>());
    assert!(bytes == pattern(300_000));
    assert_eq!(
        reason,
        CloseReason::Peer {
            code: 3,
            reason: "done".into()
        }
    );
    Ok(())
}

#[tokio::test]
async fn dropping_every_handle_closes_gracefully() -> Result {
    let (client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    dialled.send_message("last words").await?;
    drop(dialled);
    drop(client);
    assert_eq!(accepted.receive_message().await?.data, b"last words");
    assert!(matches!(
        accepted.closed().await,
        CloseReason::Peer { code: 0, .. }
    ));
    Ok(())
}

#[tokio::test]
async fn dropped_halves_reset_and_stop() -> Result {
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    let (mut send, receive) = dialled.open_stream().await?;
    send.write_all(b"begin").await?;
    let (mut answer, mut incoming) = accepted.accept_stream().await?;
    drop(receive);
    assert_eq!(answer.stopped().await?, Some(0));
    assert_eq!(
        answer.write_all(b"x").await.unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    drop(send);
    let error = incoming.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    Ok(())
}

#[tokio::test]
async fn halves_end_on_their_own_and_codes_arrive() -> Result {
    let (_client, dialled, _server, accepted) = pair(EndpointConfig::default()).await?;
    let (mut send, mut receive) = dialled.open_stream().await?;
    assert_eq!(send.write_some(b"question").await, Ok(8));
    let (mut answer, mut question) = accepted.accept_stream().await?;
    send.finish().await?;
    let mut all = Vec::new();
    question.read_to_end(&mut all).await?;
    assert_eq!(all, b"question");
    let after = send.write_some(b"more").await;
    assert_eq!(after, Err(WriteError::Misuse(ApiMisuse::UnknownStream)));
    // The other half goes on.
    answer.write_all(b"part").await?;
    let mut buffer = [0; 4];
    receive.read_exact(&mut buffer).await?;
    answer.reset(42)?;
    let read = receive.read_some(&mut buffer).await;
    assert_eq!(read, Err(ReadError::Reset(42)));
    let finished = answer.finish().await;
    assert_eq!(
        finished,
        Err(WriteError::Misuse(ApiMisuse::AlreadyFinished))
    );
    assert_eq!(
        answer.stopped().await,
        Ok(None),
        "it does not wait for ever"
    );
    let mut unwanted = dialled.open_uni().await?;
    unwanted.write_all(b"long").await?;
    let mut reader = accepted.accept_uni().await?;
    reader.stop(7)?;
    assert_eq!(reader.stop(8), Err(ApiMisuse::AlreadyFinished));
    assert_eq!(unwanted.stopped().await, Ok(Some(7)));
    assert_eq!(
        unwanted.write_some(b"er").await,
        Err(WriteError::Stopped(7))
    );
    assert_eq!(unwanted.finish().await, Err(WriteError::Stopped(7)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_two_hundred_connections_at_one_port() -> Result {
    const CONNECTIONS: usize = 200;
    let (server, client) = (
        server(EndpointConfig::default())?,
        client(EndpointConfig::default())?,
    );
    let address = server.local_addr();
    let serving = tokio::spawn(async move {
        let mut tasks = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let connection = server.accept().await.ok_or("stopped")?;
            tasks.spawn(async move {
                let (mut send, mut receive) = connection.accept_stream().await?;
                tokio::io::copy(&mut receive, &mut send).await?;
                send.finish().await?;
                connection.closed().await;
                Result::Ok(())
            });
        }
        while let Some(result) = tasks.join_next().await {
            result??;
        }
        server.shutdown(Duration::from_secs(5)).await;
        Result::Ok(())
    });
    let mut tasks = JoinSet::new();
    for index in 0..CONNECTIONS {
        let client = client.clone();
        tasks.spawn(async move {
            let connection = dial(&client, address).await?;
            let (mut send, mut receive) = connection.open_stream().await?;
            let data = pattern(10_000 + index);
            send.write_all(&data).await?;
            send.finish().await?;
            let mut echoed = Vec::new();
            receive.read_to_end(&mut echoed).await?;
            assert!(echoed == data, "connection {index} got another's bytes");
            connection.close(0, "").await;
            Result::Ok(())
        });
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    client.shutdown(Duration::from_secs(5)).await;
    serving.await?
}

#[tokio::test]
async fn a_dead_port_gives_a_clear_error() -> Result {
    // A port that was just free; the socket is closed again before anybody connects to it.
    let dead = std::net::UdpSocket::bind(LOOPBACK)?.local_addr()?;
    let mut config = EndpointConfig::default();
    config.transport.handshake_timeout = Duration::from_millis(300);
    let client = client(config)?;
    let initiator = Box::new(PlainInitiator::new());
    let error = client.connect(dead, initiator).await.unwrap_err();
    if CARRIERS == CarrierChoice::TcpOnly {
        let refused = io::ErrorKind::ConnectionRefused;
        assert_eq!(error, ConnectionError::Tcp(refused));
        assert_eq!(io::Error::from(error).kind(), refused);
        return Ok(());
    }
    assert!(
        matches!(
            error,
            ConnectionError::Closed(CloseReason::HandshakeTimeout { .. })
        ),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "no answer to the handshake");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
    Ok(())
}

#[tokio::test]
async fn rejects_an_address_of_another_family() -> Result {
    let client = client(EndpointConfig::default())?;
    let remote = "[::1]:9".parse()?;
    let error = client
        .connect(remote, Box::new(PlainInitiator::new()))
        .await
        .unwrap_err();
    assert_eq!(error, ConnectionError::AddressFamily);
    Ok(())
}

#[tokio::test]
async fn shutdown_ends_every_wait() -> Result {
    let (client, dialled, server, accepted) = pair(EndpointConfig::default()).await?;
    let accepting = tokio::spawn({
        let server = server.clone();
        async move { server.accept().await.is_none() }
    });
    let receiving = tokio::spawn(async move { accepted.receive_message().await });
    dialled.send_message("before the end").await?;
    let message = receiving.await??;
    assert_eq!(message.data, b"before the end");
    server.shutdown(Duration::from_secs(5)).await;
    assert!(accepting.await?);
    assert!(matches!(dialled.closed().await, CloseReason::Peer { .. }));
    client.shutdown(Duration::from_secs(5)).await;
    assert!(
        client
            .connect(server.local_addr(), Box::new(PlainInitiator::new()))
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_an_error_of_bind() -> Result {
    let first = client(EndpointConfig::default())?;
    let error = Endpoint::bind(first.local_addr(), EndpointOptions::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    Ok(())
}

#[test]
fn binding_outside_a_runtime_is_an_error() {
    let error = Endpoint::bind(LOOPBACK, EndpointOptions::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Other);
}
