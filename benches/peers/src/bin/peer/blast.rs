//! The ceiling: sealed packets over UDP as fast as they
//! go, with nothing of what makes a transport: no handshake (the key is a constant), nothing is
//! acknowledged or sent again. What is lost does not count.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_peers::cli::{Client, Mode, Role, Setup};
use dunlin_peers::datagrams::{Datagrams, Received};
use dunlin_peers::multiplexed::on_one_thread;
use dunlin_peers::report::{Measurement, Report};
use dunlin_peers::{Result, WRITE_SIZE, socket};
use dunlin_session::CipherSuite;
use dunlin_session::provider::{AeadKey, aws_lc};

/// A packet is its number, ciphertext and tag.
const NUMBER: usize = 8;
const TAG: usize = 16;
/// The client asks for the count again after this long.
const PATIENCE: Duration = Duration::from_millis(20);

/// Either end.
pub fn main(role: Role) -> Result<()> {
    on_one_thread(async {
        match role {
            Role::Server { listen, setup } => serve(listen, &setup).await,
            Role::Client(arguments) => {
                measure(&arguments).await?.print(arguments.json);
                Ok(())
            }
        }
    })
}

/// Opens packets and counts their payload. A datagram without a packet asks for the count.
async fn serve(listen: SocketAddr, setup: &Setup) -> Result<()> {
    let datagrams = Datagrams::bind(listen, !setup.no_gso)?;
    println!("blast@{}", datagrams.local_addr());
    let key = key()?;
    let mut received = Received::default();
    let mut total: u64 = 0;
    loop {
        datagrams.receive(&mut received).await?;
        let mut asked = None;
        for (from, datagram) in received.datagrams() {
            match datagram.split_first_chunk_mut::<NUMBER>() {
                Some((number, sealed)) => {
                    let opened = key.open(nonce(*number), number, sealed);
                    let payload = sealed.len().saturating_sub(TAG);
                    total += opened.map_or(0, |()| payload as u64);
                }
                None => asked = Some(from),
            }
        }
        if let Some(client) = asked {
            let answer = total.to_be_bytes();
            datagrams.send(client, &answer, answer.len()).await?;
        }
    }
}

async fn measure(arguments: &Client) -> Result<Report> {
    if arguments.mode != Mode::Bulk {
        return Err("packets without a transport can only be thrown".into());
    }
    let server = arguments.socket_addr()?;
    let setup = &arguments.setup;
    let datagrams = Datagrams::bind(socket::client_address(server), !setup.no_gso)?;
    let key = key()?;
    let data = vec![0x5a; WRITE_SIZE];
    let size = usize::from(setup.mtu);
    let mut batch = vec![0; datagrams.most_segments(size) * size];
    let mut next: u64 = 0;
    let before = ask(&datagrams, server).await?;
    let run = Measurement::begin("blast", Mode::Bulk, arguments.seconds);
    while !run.is_over() {
        for packet in batch.chunks_exact_mut(size) {
            seal(&*key, next, &data, packet)?;
            next += 1;
        }
        datagrams.send(server, &batch, size).await?;
    }
    let counted = ask(&datagrams, server).await?;
    Ok(run.end_bulk(counted - before))
}

/// Fills `packet` with number, ciphertext of as much of `data` as fits, and tag.
fn seal(key: &dyn AeadKey, number: u64, data: &[u8], packet: &mut [u8]) -> Result<()> {
    let number = number.to_be_bytes();
    let (head, rest) = packet
        .split_at_mut_checked(NUMBER)
        .ok_or("no room for a number")?;
    head.copy_from_slice(&number);
    let length = rest.len().saturating_sub(TAG).min(data.len());
    rest[..length].copy_from_slice(&data[..length]);
    key.seal(nonce(number), &number, &mut rest[..length + TAG]);
    Ok(())
}

/// How many bytes the server has opened. The question stands in line behind the packets.
async fn ask(datagrams: &Datagrams, server: SocketAddr) -> Result<u64> {
    let mut received = Received::default();
    for _ in 0..100 {
        datagrams.send(server, b"?", 1).await?;
        if let Ok(come) = tokio::time::timeout(PATIENCE, datagrams.receive(&mut received)).await {
            come?;
            let mut answers = received.datagrams();
            let counted = answers.find_map(|(_, answer)| answer.first_chunk().copied());
            return Ok(u64::from_be_bytes(
                counted.ok_or("the answer is too short")?,
            ));
        }
    }
    Err("the server does not answer".into())
}

/// The cipher of Dunlin on this processor.
fn key() -> Result<Box<dyn AeadKey>> {
    Ok(aws_lc().aead(CipherSuite::Aes128Gcm, &[7; 16])?)
}

fn nonce(number: [u8; NUMBER]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number);
    nonce
}
