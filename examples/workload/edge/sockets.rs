//! Sockets that bytes are moved to and from: where they are bound, and whom they are connected to.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::pidfd::{getfd, getfd_entry, pidfd_open, with_peer};
use super::uring;
use crate::buffer::content;
use crate::peer::Peer;
use crate::pipes::{Pipe, call_splice, splice_entry};
use crate::report::{Entry, Report};
use crate::sendfile::call_sendfile;
use crate::sys;

const SIZE: usize = 64;

/// Both ends of a socket: address and port each.
type Ends = [(Value, Value); 2];

const NOWHERE: (Value, Value) = (Value::Null, Value::Null);

fn at(address: SocketAddr) -> (Value, Value) {
    (json!(address.ip().to_string()), json!(address.port()))
}

fn named(name: &str) -> (Value, Value) {
    (json!(name), Value::Null)
}

/// The socket's columns on the side `way`, `in` or `out`.
fn with_socket(mut entry: Entry, way: &str, family: &str, ends: Ends) -> Entry {
    entry = entry.with(&format!("fd_{way}_kind"), "socket").with(&format!("fd_{way}_family"), family);
    for (end, (address, port)) in ["local", "peer"].into_iter().zip(ends) {
        entry = entry.with(&format!("fd_{way}_{end}_addr"), address).with(&format!("fd_{way}_{end}_port"), port);
    }
    entry.with(&format!("fd_{way}_path"), Value::Null)
}

/// The columns of a side that is no socket.
fn without_socket(entry: Entry, way: &str) -> Entry {
    let columns = ["family", "local_addr", "local_port", "peer_addr", "peer_port"];
    columns.iter().fold(entry, |entry, column| entry.with(&format!("fd_{way}_{column}"), Value::Null))
}

/// sendfile into a socket. One that is not connected refuses it: `moves` says which is expected.
fn send(report: &mut Report, socket: &impl AsRawFd, family: &str, ends: Ends, moves: bool) -> Result<()> {
    let file = sys::memfd(&content(0, SIZE))?;
    let (fd_in, fd_out) = (file.as_raw_fd(), socket.as_raw_fd());
    let mut offset = 0;
    let ret = call_sendfile(fd_out, fd_in, Some(&mut offset), SIZE);
    ensure!(if moves { ret == SIZE as i64 } else { ret < 0 }, "sendfile returned {ret}");
    let seen = splice_entry("sendfile", ret, fd_in, fd_out, SIZE).with("flags", Value::Null);
    report.call(without_socket(with_socket(seen, "out", family, ends), "in"));
    Ok(())
}

/// splice of what came to a socket into a pipe, with this result.
fn receive(report: &mut Report, socket: &impl AsRawFd, family: &str, ends: Ends, wanted: i64) -> Result<()> {
    let pipe = Pipe::new(0)?;
    let (fd_in, fd_out) = (socket.as_raw_fd(), pipe.write.as_raw_fd());
    let ret = call_splice(fd_in, None, fd_out, None, SIZE);
    ensure!(ret == wanted, "splice returned {ret}");
    let seen = splice_entry("splice", ret, fd_in, fd_out, SIZE).with("pipe_out", pipe.inode);
    report.call(without_socket(with_socket(seen, "in", family, ends), "out"));
    Ok(())
}

/// A listener, a client of it, and what it accepted.
fn connected(address: SocketAddr) -> Result<(TcpListener, TcpStream, TcpStream)> {
    let listener = TcpListener::bind(address)?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (accepted, _) = listener.accept()?;
    Ok((listener, client, accepted))
}

/// TCP and UDP over IPv4 and IPv6.
pub fn inet(report: &mut Report) -> Result<()> {
    // Where IPv6 has no addresses, its sockets still have those of IPv4.
    let mapped = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 0));
    let loopback = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let six = if TcpListener::bind(loopback).is_ok() { [loopback, mapped] } else { [mapped, mapped] };
    let four = SocketAddr::from(([127, 0, 0, 1], 0));
    for (family, address) in [("AF_INET", four), ("AF_INET6", six[0]), ("AF_INET6", six[1])] {
        let (listener, client, accepted) = connected(address)?;
        let (near, far) = (client.local_addr()?, listener.local_addr()?);
        send(report, &client, family, [at(near), at(far)], true)?;
        receive(report, &accepted, family, [at(far), at(near)], SIZE as i64)?;
        send(report, &listener, family, [at(far), NOWHERE], false)?;
        let udp = UdpSocket::bind(address)?;
        send(report, &udp, family, [at(udp.local_addr()?), NOWHERE], false)?;
        // Bytes that nobody has read end the connection with a reset: the client has no port any more, but had one.
        send(report, &client, family, [at(near), at(far)], true)?;
        drop(accepted);
        receive(report, &client, family, [at(near), at(far)], -i64::from(libc::ECONNRESET))?;
    }
    let udp = UdpSocket::bind(("0.0.0.0", 0))?;
    send(report, &udp, "AF_INET", [at(udp.local_addr()?), NOWHERE], false)
}

/// A unix socket, bound where `name` has bytes: as they are, without a NUL behind them.
fn unix(kind: i32, name: &[u8]) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the descriptor is new and ours.
    let socket = unsafe { OwnedFd::from_raw_fd(sys::check(libc::socket(libc::AF_UNIX, kind, 0), "socket")?) };
    if !name.is_empty() {
        by_name(libc::bind, &socket, name)?;
    }
    Ok(socket)
}

type ByName = unsafe extern "C" fn(i32, *const libc::sockaddr, libc::socklen_t) -> i32;

/// bind(2) or connect(2) of a unix socket.
fn by_name(call: ByName, socket: &OwnedFd, name: &[u8]) -> Result<()> {
    // SAFETY: zeros are a valid address, and the call reads as many bytes of it as it is told.
    unsafe {
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        let room = address.sun_path.get_mut(..name.len()).context("a name of more than 108 bytes")?;
        room.iter_mut().zip(name).for_each(|(to, from)| *to = *from as libc::c_char);
        let len = (std::mem::offset_of!(libc::sockaddr_un, sun_path) + name.len()) as libc::socklen_t;
        sys::check(call(socket.as_raw_fd(), (&raw const address).cast(), len), "bind or connect")?;
    }
    Ok(())
}

/// Unix sockets with every kind of name, and without.
pub fn unix_names(report: &mut Report) -> Result<()> {
    const FAMILY: &str = "AF_UNIX";
    let dir = tempfile::tempdir()?;
    std::env::set_current_dir(&dir)?;
    let path = dir.path().join("socket").to_string_lossy().into_owned();
    let listener = std::os::unix::net::UnixListener::bind(&path)?;
    let client = UnixStream::connect(&path)?;
    let (accepted, _) = listener.accept()?;
    send(report, &client, FAMILY, [NOWHERE, named(&path)], true)?;
    receive(report, &accepted, FAMILY, [named(&path), NOWHERE], SIZE as i64)?;
    send(report, &listener, FAMILY, [named(&path), NOWHERE], false)?;
    let (near, _far) = UnixStream::pair()?;
    send(report, &near, FAMILY, [NOWHERE, NOWHERE], true)?;
    // An abstract name is any bytes; for a terminal these would be a command.
    let pid = std::process::id();
    let hostile = [b"\0workload\0\x1b[2J\xff\n", pid.to_string().as_bytes()].concat();
    let shown = format!("@workload@\x1b[2J\\xff\n{pid}");
    let far = unix(libc::SOCK_DGRAM, &hostile)?;
    // A path that looks like an abstract name, and one that fills its room, without a NUL behind it.
    let long = "l".repeat(108);
    for (name, local) in [("@looks-abstract", "./@looks-abstract"), (&long, &long)] {
        let near = unix(libc::SOCK_DGRAM, name.as_bytes())?;
        by_name(libc::connect, &near, &hostile)?;
        send(report, &near, FAMILY, [named(local), named(&shown)], true)?;
    }
    send(report, &far, FAMILY, [named(&shown), NOWHERE], false)
}

/// Sockets of another process: one that listens, one that is bound to nothing, and one of a family that has other names.
pub fn getfd_of_sockets(report: &mut Report) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let socket = |family, kind| -> Result<OwnedFd> {
        // SAFETY: plain numbers; the descriptor is new and ours.
        unsafe { Ok(OwnedFd::from_raw_fd(sys::check(libc::socket(family, kind, 0), "socket")?)) }
    };
    let unbound = socket(libc::AF_INET, libc::SOCK_STREAM)?;
    let netlink = socket(libc::AF_NETLINK, libc::SOCK_RAW)?;
    let peer = Peer::fork()?;
    let pidfd = pidfd_open(peer.pid())?;
    for (fd, family, local) in [
        (listener.as_raw_fd(), "AF_INET", at(address)),
        (unbound.as_raw_fd(), "AF_INET", NOWHERE),
        (netlink.as_raw_fd(), "AF_NETLINK", NOWHERE),
    ] {
        let ret = getfd(pidfd.as_raw_fd(), fd, 0);
        ensure!(ret >= 0, "pidfd_getfd returned {ret}");
        let seen = with_peer(getfd_entry(ret, pidfd.as_raw_fd(), fd, 0), &peer);
        let ends = [local, NOWHERE];
        report.call(with_socket(with_socket(seen, "in", family, ends.clone()), "out", family, ends));
    }
    Ok(())
}

/// A request of io_uring that moves bytes from a pipe to a socket.
pub fn by_uring(report: &mut Report) -> Result<()> {
    uring_send(report, false)
}

/// The same by an index of the ring's registered files: which socket that is, only functions see.
pub fn registered(report: &mut Report) -> Result<()> {
    uring_send(report, true)
}

fn uring_send(report: &mut Report, registered: bool) -> Result<()> {
    let (listener, client, _accepted) = connected(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let pipe = Pipe::new(0)?;
    sys::write_all(&pipe.write, &content(0, SIZE))?;
    let ends = [at(client.local_addr()?), at(listener.local_addr()?)];
    let seen = uring::splice_to(pipe.read.as_raw_fd(), client.as_raw_fd(), registered)?;
    report.call(without_socket(with_socket(seen, "out", "AF_INET", ends), "in"));
    Ok(())
}
