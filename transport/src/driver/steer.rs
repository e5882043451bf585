//! Tells the system which of the sockets at one address a datagram is for: a classic BPF program that reads
//! the connection ID (`SO_ATTACH_REUSEPORT_CBPF`, socket(7); instructions of McCanne and Jacobson, *The BSD Packet
//! Filter*, USENIX 1993).

use std::io;
use std::net::UdpSocket;

/// Datagrams whose connection ID leaves the remainder `n` by `count` go to the socket that was the `n`-th to be
/// bound, counted from zero. SYNs go where their addresses are hashed to.
///
/// # Errors
/// What the system says.
#[cfg(target_os = "linux")]
pub(super) fn by_connection_id(io: &UdpSocket, count: u32) -> io::Result<()> {
    use nix::libc::{sock_filter, sock_fprog};
    use nix::sys::socket::{setsockopt, sockopt::AttachReusePortCbpf};

    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const REMAINDER: u16 = 0x94;
    const RETURN_RESULT: u16 = 0x16;
    const RETURN_CONSTANT: u16 = 0x06;
    /// Where the ID is in a packet (`docs/wire.md`).
    const CONNECTION_ID: u32 = 28;
    /// No socket has this number: the system then decides by the addresses.
    const NOBODY: u32 = u32::MAX;

    let instruction = |code, if_true, k| sock_filter {
        code,
        jt: if_true,
        jf: 0,
        k,
    };
    let mut program = [
        instruction(LOAD_WORD, 0, CONNECTION_ID),
        instruction(JUMP_IF_EQUAL, 2, 0),
        instruction(REMAINDER, 0, count),
        instruction(RETURN_RESULT, 0, 0),
        instruction(RETURN_CONSTANT, 0, NOBODY),
    ];
    let program = sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_mut_ptr(),
    };
    setsockopt(io, AttachReusePortCbpf, &program).map_err(io::Error::from)
}

/// Not on this system.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`].
#[cfg(not(target_os = "linux"))]
pub(super) fn by_connection_id(_io: &UdpSocket, _count: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
