//! What the transport is measured against: a transfer of [`reno`] over UDP sockets, through the same
//! relay as the program's own. Its receiver acknowledges the end of what is contiguous, and
//! nothing else.

mod reno;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use reno::Reno;

/// Data of a segment; with a number in front about what a packet of the transport has.
const SEGMENT: usize = 1_436;
/// How long a wait for an acknowledgement may last; the timer is looked at after it.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The receiving end, on a thread of its own as long as the test.
pub(crate) fn receiver() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || acknowledge(&socket));
    address
}

/// Answers each segment with the number of the first one that is missing.
fn acknowledge(socket: &UdpSocket) {
    let (mut next, mut beyond) = (0_u64, BTreeSet::new());
    let mut buffer = [0; SEGMENT + 8];
    while let Ok((_, from)) = socket.recv_from(&mut buffer) {
        let segment = u64::from_be_bytes(*buffer.first_chunk().unwrap());
        if segment >= next {
            beyond.insert(segment);
        }
        while beyond.remove(&next) {
            next += 1;
        }
        if socket.send_to(&next.to_be_bytes(), from).is_err() {
            return;
        }
    }
}

/// Sends so many bytes to `to` and returns the goodput in bits per second.
#[expect(
    clippy::disallowed_methods,
    reason = "two sockets of a test: there is no clock but that of the system"
)]
pub(crate) fn goodput(to: SocketAddr, bytes: u64) -> f64 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(LOOK_EVERY)).unwrap();
    let mut reno = Reno::new(bytes.div_ceil(SEGMENT as u64));
    let mut data = [0; SEGMENT + 8];
    let start = std::time::Instant::now();
    while !reno.is_done() {
        while let Some(segment) = reno.poll(start.elapsed()) {
            data[..8].copy_from_slice(&segment.to_be_bytes());
            socket.send(&data).unwrap();
        }
        let mut ack = [0; 8];
        if socket.recv(&mut ack).is_ok() {
            reno.on_ack(start.elapsed(), u64::from_be_bytes(ack));
        }
        if start.elapsed() >= reno.deadline() {
            reno.on_timeout(start.elapsed());
        }
    }
    bytes as f64 * 8.0 / start.elapsed().as_secs_f64()
}
