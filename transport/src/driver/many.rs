//! Many datagrams in one system call, where the system does not cut trains of packets (or the network
//! card, or the route, refuses them): sendmmsg(2).
//!
//! The mark of a datagram is the socket's own here, not one that each call gives anew: that costs the
//! kernel less. So only datagrams with that mark go this way.

use std::io;
use std::net::{SocketAddr, UdpSocket};

/// Hands datagrams of `segment` bytes, the last one as long as what is left of `contents`, to the kernel; a connected
/// socket needs no destination.
/// Returns the bytes it took, whole datagrams. None: this system has no such call.
///
/// # Errors
/// What the kernel says about the first of them; none was sent.
#[cfg(target_os = "linux")]
pub(super) fn send(
    io: &UdpSocket,
    destination: Option<SocketAddr>,
    contents: &[u8],
    segment: usize,
) -> Option<io::Result<usize>> {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

    let slices: Vec<_> = contents
        .chunks(segment)
        .map(|datagram| [io::IoSlice::new(datagram)])
        .collect();
    let to = vec![destination.map(SockaddrStorage::from); slices.len()];
    let mut headers = MultiHeaders::preallocate(slices.len(), None);
    let flags = MsgFlags::empty();
    let taken = sendmmsg(io.as_raw_fd(), &mut headers, &slices, to, [], flags);
    let bytes = |count: usize| contents.len().min(count * segment);
    Some(
        taken
            .map(|sent| bytes(sent.count()))
            .map_err(io::Error::from),
    )
}

/// Hands datagrams of `segment` bytes to the kernel: not on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn send(
    _io: &UdpSocket,
    _destination: Option<SocketAddr>,
    _contents: &[u8],
    _segment: usize,
) -> Option<io::Result<usize>> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn datagrams_of_one_size_and_a_shorter_one_arrive_apart_and_in_order() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let contents: Vec<u8> = (0..10).collect();
        let to = receiver.local_addr().unwrap();
        let taken = send(&sender, Some(to), &contents, 4).unwrap();
        assert_eq!(taken.unwrap(), 10);
        let mut buffer = [0; 64];
        for datagram in contents.chunks(4) {
            let (length, from) = receiver.recv_from(&mut buffer).unwrap();
            assert_eq!(
                (&buffer[..length], from),
                (datagram, sender.local_addr().unwrap())
            );
        }
    }

    #[test]
    fn what_the_kernel_says_of_the_first_one_is_told() {
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let nowhere = "127.0.0.1:0".parse().unwrap();
        assert!(send(&sender, Some(nowhere), &[1; 10], 5).unwrap().is_err());
    }
}
