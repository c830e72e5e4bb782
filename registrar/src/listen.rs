//! Listening on TCP.

use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the kernel keeps while there is no place for them.
const BACKLOG: u32 = 128;

/// A socket for exactly this address: that of IPv6's wildcard does not take IPv4 too. `send_buffer` octets are asked
/// for as the kernel's buffer for what a client has not read; it counts for every connection.
///
/// # Errors
/// The address cannot be had.
pub(crate) fn listen(address: SocketAddr, send_buffer: usize) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() {
        let socket = TcpSocket::new_v6()?;
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
        socket
    } else {
        TcpSocket::new_v4()?
    };
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    setsockopt(&socket, sockopt::SndBuf, &send_buffer)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
