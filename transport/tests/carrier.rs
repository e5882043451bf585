//! TCP as a carrier, and the race of both carriers, on loopback: every port is the system's choice,
//! every wait is for an event.
#![cfg(feature = "tokio")]

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use dunlin_transport::CloseReason;
use dunlin_transport::config::EndpointConfig;
use dunlin_transport::driver::{
    Carrier, CarrierChoice, Connection, ConnectionError, Endpoint, EndpointOptions,
};
use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use dunlin_transport::protect::{Established, HandshakeError, Initiator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const HOUR: Duration = Duration::from_secs(3_600);

fn server(carriers: CarrierChoice, config: EndpointConfig) -> Result<Endpoint> {
    let options = EndpointOptions::default()
        .with_carriers(carriers)
        .with_config(config)
        .with_acceptor(Box::new(PlainAcceptor::new()));
    Ok(Endpoint::bind(LOOPBACK, options)?)
}

fn client(carriers: CarrierChoice, head_start: Duration) -> Result<Endpoint> {
    let mut options = EndpointOptions::default().with_carriers(carriers);
    options.head_start = head_start;
    Ok(Endpoint::bind(LOOPBACK, options)?)
}

async fn dial(
    endpoint: &Endpoint,
    remote: SocketAddr,
) -> std::result::Result<Connection, ConnectionError> {
    let initiator = Box::new(PlainInitiator::new());
    endpoint.connect(remote, initiator).await
}

/// A message there and back.
async fn greet(dialled: &Connection, accepted: &Connection) -> Result {
    dialled.send_message("there").await?;
    assert_eq!(accepted.receive_message().await?.data, b"there");
    accepted.send_message("back").await?;
    assert_eq!(dialled.receive_message().await?.data, b"back");
    Ok(())
}

#[tokio::test]
async fn udp_is_kept_where_it_works() -> Result {
    let server = server(CarrierChoice::Race, EndpointConfig::default())?;
    let client = client(CarrierChoice::Race, HOUR)?;
    let (dialled, accepted) = tokio::join!(dial(&client, server.local_addr()), server.accept());
    let (dialled, accepted) = (dialled?, accepted.ok_or("stopped")?);
    assert_eq!(
        (dialled.carrier(), accepted.carrier()),
        (Carrier::Udp, Carrier::Udp)
    );
    assert_eq!(client.remembered_carrier(server.local_addr()), None);
    greet(&dialled, &accepted).await
}

#[tokio::test]
async fn tcp_carries_the_connection_where_udp_is_swallowed_and_is_remembered() -> Result {
    const HEAD_START: Duration = Duration::from_secs(2);
    // Its UDP socket takes every packet and answers none, as a firewall that drops would.
    let server = server(CarrierChoice::TcpOnly, EndpointConfig::default())?;
    let client = client(CarrierChoice::Race, HEAD_START)?;
    let remote = server.local_addr();
    let alone = tokio::time::timeout(HEAD_START / 4, dial(&client, remote)).await;
    assert!(alone.is_err(), "TCP did not wait for UDP");
    assert_eq!(client.remembered_carrier(remote), None);
    let late = dial(&client, remote).await?;
    assert_eq!(client.remembered_carrier(remote), Some(Carrier::Tcp));
    let at_once = tokio::time::timeout(HEAD_START, dial(&client, remote)).await??;
    for dialled in [late, at_once] {
        let accepted = server.accept().await.ok_or("stopped")?;
        assert_eq!(dialled.carrier(), Carrier::Tcp);
        assert_eq!(accepted.carrier(), Carrier::Tcp);
        greet(&dialled, &accepted).await?;
    }
    Ok(())
}

#[tokio::test]
async fn udp_that_works_again_is_used_again() -> Result {
    let client = client(CarrierChoice::Race, Duration::from_millis(1))?;
    let blocked = server(CarrierChoice::TcpOnly, EndpointConfig::default())?;
    let remote = blocked.local_addr();
    let dialled = dial(&client, remote).await?;
    assert_eq!(client.remembered_carrier(remote), Some(Carrier::Tcp));
    drop(dialled);
    blocked.shutdown(Duration::from_secs(5)).await;
    drop(blocked);
    let options = EndpointOptions::default()
        .with_carriers(CarrierChoice::UdpOnly)
        .with_acceptor(Box::new(PlainAcceptor::new()));
    let open = Endpoint::bind(remote, options)?;
    let dialled = dial(&client, remote).await?;
    assert_eq!(dialled.carrier(), Carrier::Udp);
    assert_eq!(client.remembered_carrier(remote), None);
    drop(open);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_that_both_could_win_shows_the_peer_one_connection() -> Result {
    const RACES: usize = 60;
    let server = server(CarrierChoice::Race, EndpointConfig::default())?;
    let remote = server.local_addr();
    let accepting = tokio::spawn({
        let server = server.clone();
        async move {
            let mut accepted = Vec::new();
            while let Some(connection) = server.accept().await {
                accepted.push(connection);
            }
            accepted.len()
        }
    });
    let client = client(CarrierChoice::Race, Duration::ZERO)?;
    for _ in 0..RACES {
        let dialled = dial(&client, remote).await?;
        // Delivered: so the peer has the connection.
        dialled.deliver_message("here").await?;
        assert_eq!(dialled.close(0, "").await, CloseReason::Local);
    }
    // Nothing is left that could still complete a second handshake.
    client.shutdown(Duration::from_secs(10)).await;
    server.shutdown(Duration::from_secs(10)).await;
    assert_eq!(accepting.await?, RACES);
    Ok(())
}

/// An initiator of its own kind: it has no twin.
struct Lone(PlainInitiator);

impl Initiator for Lone {
    fn syn(&mut self, params: &[u8], token: &[u8]) -> Vec<u8> {
        self.0.syn(params, token)
    }

    fn on_retry(&self, payload: &[u8]) -> std::result::Result<Vec<u8>, HandshakeError> {
        self.0.on_retry(payload)
    }

    fn on_syn_ack(
        &self,
        payload: &[u8],
    ) -> std::result::Result<(Vec<u8>, Established), HandshakeError> {
        self.0.on_syn_ack(payload)
    }
}

#[tokio::test]
async fn an_initiator_without_a_twin_goes_the_way_that_worked_last() -> Result {
    let client = client(CarrierChoice::Race, Duration::ZERO)?;
    let lone = || Box::new(Lone(PlainInitiator::new()));
    let open = server(CarrierChoice::Race, EndpointConfig::default())?;
    let dialled = client.connect(open.local_addr(), lone()).await?;
    assert_eq!(dialled.carrier(), Carrier::Udp);
    let blocked = server(CarrierChoice::TcpOnly, EndpointConfig::default())?;
    let dialled = dial(&client, blocked.local_addr()).await?;
    assert_eq!(dialled.carrier(), Carrier::Tcp);
    let dialled = client.connect(blocked.local_addr(), lone()).await?;
    assert_eq!(dialled.carrier(), Carrier::Tcp);
    Ok(())
}

#[tokio::test]
async fn an_endpoint_listens_at_one_port_for_both_or_not_at_all() -> Result {
    let both = server(CarrierChoice::Race, EndpointConfig::default())?;
    TcpStream::connect(both.local_addr()).await?;
    let udp = server(CarrierChoice::UdpOnly, EndpointConfig::default())?;
    let refused = TcpStream::connect(udp.local_addr()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let mute = client(CarrierChoice::Race, HOUR)?;
    assert!(TcpStream::connect(mute.local_addr()).await.is_err());
    let taken = TcpListener::bind(LOOPBACK).await?;
    let options = EndpointOptions::default().with_acceptor(Box::new(PlainAcceptor::new()));
    let error = Endpoint::bind(taken.local_addr()?, options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    Ok(())
}

#[tokio::test]
async fn an_endpoint_on_all_addresses_is_reached_over_ipv4_by_either_carrier() -> Result {
    let everywhere: SocketAddr = "[::]:0".parse()?;
    let options = || EndpointOptions::default().with_acceptor(Box::new(PlainAcceptor::new()));
    let server = match Endpoint::bind(everywhere, options()) {
        // A machine without IPv6.
        Err(error) if error.kind() != ErrorKind::AddrInUse => return Ok(()),
        bound => bound?,
    };
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, server.local_addr().port()));
    for carriers in [CarrierChoice::TcpOnly, CarrierChoice::UdpOnly] {
        for from in [everywhere, LOOPBACK] {
            let options = EndpointOptions::default().with_carriers(carriers);
            let client = Endpoint::bind(from, options)?;
            let (dialled, accepted) = tokio::join!(dial(&client, remote), server.accept());
            let (dialled, accepted) = (dialled?, accepted.ok_or("stopped")?);
            assert_eq!(dialled.remote_address(), Some(remote));
            assert!(accepted.remote_address().ok_or("gone")?.is_ipv4());
            greet(&dialled, &accepted).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn dropping_the_endpoint_stops_listening_and_keeps_connections() -> Result {
    let server = server(CarrierChoice::TcpOnly, EndpointConfig::default())?;
    let client = client(CarrierChoice::TcpOnly, HOUR)?;
    let remote = server.local_addr();
    let (dialled, accepted) = tokio::join!(dial(&client, remote), server.accept());
    let (dialled, accepted) = (dialled?, accepted.ok_or("stopped")?);
    assert_eq!(
        (client.connection_count(), server.connection_count()),
        (1, 1)
    );
    drop(server);
    greet(&dialled, &accepted).await?;
    // The listening task ends at its next step.
    let refused = async {
        while TcpStream::connect(remote).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    Ok(tokio::time::timeout(Duration::from_secs(20), refused).await?)
}

/// What `stream` is told before its end; an error is an end, too.
async fn until_the_end(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut heard = Vec::new();
    let reading = stream.read_to_end(&mut heard);
    match tokio::time::timeout(Duration::from_secs(20), reading).await? {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error.into()),
    }
    Ok(heard)
}

#[tokio::test]
async fn clients_of_other_protocols_are_closed_at_once_and_told_nothing() -> Result {
    let mut config = EndpointConfig::default();
    config.transport.handshake_timeout = HOUR;
    let server = server(CarrierChoice::TcpOnly, config)?;
    let openings: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.0\r\n",
        &[0x16, 0x03, 0x01, 0x00, 0xf5, 0x01],
        &[0; 64],
    ];
    for opening in openings {
        let mut stray = TcpStream::connect(server.local_addr()).await?;
        stray.write_all(opening).await?;
        assert!(until_the_end(&mut stray).await?.is_empty(), "{opening:?}");
    }
    let client = client(CarrierChoice::TcpOnly, HOUR)?;
    let (dialled, accepted) = tokio::join!(dial(&client, server.local_addr()), server.accept());
    greet(&dialled?, &accepted.ok_or("stopped")?).await
}

#[tokio::test]
async fn a_stream_that_never_completes_a_handshake_is_closed_in_time() -> Result {
    let mut config = EndpointConfig::default();
    config.transport.handshake_timeout = Duration::from_millis(300);
    let server = server(CarrierChoice::TcpOnly, config)?;
    // Says nothing; a length and no more; one byte after the other of a datagram that never ends.
    let mut silent = TcpStream::connect(server.local_addr()).await?;
    let mut length = TcpStream::connect(server.local_addr()).await?;
    length.write_all(&[0x20, 0x00]).await?;
    let slow = TcpStream::connect(server.local_addr()).await?;
    let (mut slow, mut drip) = slow.into_split();
    let dripping = tokio::spawn(async move {
        drip.write_all(&[0x20, 0x00, 0x0d]).await?;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drip.write_all(&[1]).await?;
        }
        #[expect(unreachable_code, reason = "names the type of the error")]
        Ok::<_, io::Error>(())
    });
    assert!(until_the_end(&mut silent).await?.is_empty());
    assert!(until_the_end(&mut length).await?.is_empty());
    let mut heard = [0; 8];
    let ended = tokio::time::timeout(Duration::from_secs(20), slow.read(&mut heard)).await?;
    assert!(matches!(ended, Ok(0) | Err(_)));
    dripping.await?.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn garbage_in_good_frames_ends_the_stream_after_a_bounded_number() -> Result {
    let mut config = EndpointConfig::default();
    config.transport.handshake_timeout = HOUR;
    let server = server(CarrierChoice::TcpOnly, config)?;
    let mut garbage = TcpStream::connect(server.local_addr()).await?;
    let mut datagram = vec![0, 100, 0x0d, 1];
    datagram.resize(102, 0x5a);
    garbage.write_all(&datagram.repeat(65)).await?;
    assert!(until_the_end(&mut garbage).await?.is_empty());
    Ok(())
}

/// How a [`Middle`] ends.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Cut {
    Not,
    Fin,
    Rst,
    /// Stays, and moves nothing.
    Stall,
}

/// Passes one TCP stream on to `target` until it is told to cut it.
async fn middle(target: SocketAddr) -> Result<(SocketAddr, watch::Sender<Cut>)> {
    let listener = TcpListener::bind(LOOPBACK).await?;
    let address = listener.local_addr()?;
    let (cut, mut told) = watch::channel(Cut::Not);
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await?;
        let mut far = TcpStream::connect(target).await?;
        tokio::select! {
            passed = tokio::io::copy_bidirectional(&mut near, &mut far) => passed.map(drop)?,
            _ = told.wait_for(|cut| *cut != Cut::Not) => {}
        }
        let how = *told.borrow();
        match how {
            Cut::Rst => {
                near.set_zero_linger()?;
                far.set_zero_linger()?;
            }
            Cut::Stall => {
                // Until the test lets go of the other end.
                while told.changed().await.is_ok() {}
            }
            Cut::Fin | Cut::Not => {}
        }
        Ok::<_, io::Error>(())
    });
    Ok((address, cut))
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_both_connections_at_once() -> Result {
    for how in [Cut::Fin, Cut::Rst] {
        let mut config = EndpointConfig::default();
        config.transport.idle_timeout = HOUR;
        let server = server(CarrierChoice::TcpOnly, config)?;
        let client = client(CarrierChoice::TcpOnly, HOUR)?;
        let (remote, cut) = middle(server.local_addr()).await?;
        let (dialled, accepted) = tokio::join!(dial(&client, remote), server.accept());
        let (dialled, accepted) = (dialled?, accepted.ok_or("stopped")?);
        greet(&dialled, &accepted).await?;
        dialled.deliver_message("before the cut").await?;
        cut.send(how)?;
        assert_eq!(dialled.closed().await, CloseReason::CarrierLost, "{how:?}");
        assert_eq!(accepted.closed().await, CloseReason::CarrierLost, "{how:?}");
        // What had arrived can still be read; then comes the reason.
        assert_eq!(accepted.receive_message().await?.data, b"before the cut");
        let error = accepted.receive_message().await.unwrap_err();
        assert_eq!(error, CloseReason::CarrierLost);
        assert_eq!(
            dialled.open_uni().await.unwrap_err(),
            CloseReason::CarrierLost
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_ends_during_the_handshake_is_an_error_of_connect() -> Result {
    let listener = TcpListener::bind(LOOPBACK).await?;
    let remote = listener.local_addr()?;
    let hanging_up = tokio::spawn(async move { listener.accept().await.map(drop) });
    let client = client(CarrierChoice::TcpOnly, HOUR)?;
    let error = dial(&client, remote).await.unwrap_err();
    assert_eq!(error, ConnectionError::Closed(CloseReason::CarrierLost));
    hanging_up.await??;
    Ok(())
}

#[tokio::test]
async fn a_stream_that_takes_no_more_bounds_what_is_sent() -> Result {
    const DATAGRAM: usize = 32_768;
    let server = server(CarrierChoice::TcpOnly, EndpointConfig::default())?;
    let client = client(CarrierChoice::TcpOnly, HOUR)?;
    let (remote, cut) = middle(server.local_addr()).await?;
    let (dialled, accepted) = tokio::join!(dial(&client, remote), server.accept());
    let (dialled, accepted) = (dialled?, accepted.ok_or("stopped")?);
    greet(&dialled, &accepted).await?;
    cut.send(Cut::Stall)?;
    // Datagrams know no flow control: only the full socket can hold them back. A GiB is more than
    // any system's socket buffers take.
    for _ in 0..1 << 15 {
        dialled.send_datagram(vec![7; DATAGRAM], None)?;
        tokio::task::yield_now().await;
    }
    let sent = dialled.stats().ok_or("gone")?.bytes_sent;
    assert!(sent < 256 << 20, "{sent} bytes were taken");
    Ok(())
}

#[tokio::test]
async fn a_peer_that_stops_reading_cannot_keep_the_stream_of_a_dead_connection() -> Result {
    let mut config = EndpointConfig::default();
    config.transport.idle_timeout = Duration::from_millis(500);
    let server = server(CarrierChoice::TcpOnly, config)?;
    let client = client(CarrierChoice::TcpOnly, HOUR)?;
    let (remote, cut) = middle(server.local_addr()).await?;
    let (dialled, accepted) = tokio::join!(dial(&client, remote), server.accept());
    let (dialled, _accepted) = (dialled?, accepted.ok_or("stopped")?);
    cut.send(Cut::Stall)?;
    // Until the socket is full, and then until nothing has come back for too long.
    while dialled.send_datagram(vec![7; 32_768], None).is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(dialled.closed().await, CloseReason::TimedOut);
    let gone = async {
        while client.connection_count() + server.connection_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    Ok(tokio::time::timeout(Duration::from_secs(20), gone).await?)
}

#[tokio::test]
async fn no_connection_is_accepted_after_the_shutdown() -> Result {
    let server = server(CarrierChoice::TcpOnly, EndpointConfig::default())?;
    let client = client(CarrierChoice::TcpOnly, HOUR)?;
    let remote = server.local_addr();
    let (dialled, accepted) = tokio::join!(dial(&client, remote), server.accept());
    let (dialled, accepted) = (dialled?, accepted.ok_or("stopped")?);
    let mut waiting = TcpStream::connect(remote).await?;
    server.shutdown(Duration::from_secs(10)).await;
    assert!(matches!(dialled.closed().await, CloseReason::Peer { .. }));
    assert!(accepted.close_reason().is_some());
    assert!(server.accept().await.is_none());
    assert!(until_the_end(&mut waiting).await?.is_empty());
    assert!(dial(&client, remote).await.is_err());
    client.shutdown(Duration::from_secs(10)).await;
    let error = dial(&client, remote).await.unwrap_err();
    assert_eq!(error, ConnectionError::Closed(CloseReason::EndpointStopped));
    Ok(())
}
