//! What a record says of a file beside its number: its path, or where a socket is bound and whom it is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::text;
use super::super::wire::*;
use crate::schema::vocabulary::DescriptorKind;

/// Names of one file, in a buffer that lives from row to row.
#[derive(Debug, Default)]
pub struct FileNames {
    /// Empty without one.
    pub path: String,
    /// Of a socket that is bound.
    pub local: Option<Address>,
    /// Of a socket whose peer is bound.
    pub peer: Option<Address>,
}

/// One end of a socket.
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    port: Option<u32>,
}

impl Address {
    /// IP address, or name of a unix socket.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Port, where the socket's protocol has ports.
    pub fn port(&self) -> Option<u32> {
        self.port
    }

    /// `None` where the socket is bound to nothing.
    fn new(socket: &vmt_socket, family: u32, name: &[u8], port: u16) -> Option<Self> {
        let ip = match (family, name.len()) {
            (AF_UNIX, _) => return Self::unix(name),
            // By length: a socket of AF_INET6 can be made one of AF_INET meanwhile (IPV6_ADDRFORM).
            (AF_INET | AF_INET6, 4) => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(name).ok()?)),
            (AF_INET | AF_INET6, 16) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(name).ok()?)),
            _ => return None,
        };
        // A raw socket has its protocol's number there.
        let port = (u32::from(socket.type_) != SOCK_RAW).then(|| u32::from(u16::from_be(port)));
        let is_bound = !ip.is_unspecified() || port.is_some_and(|port| port != 0);
        is_bound.then(|| Address { text: ip.to_string(), port })
    }

    /// As /proc/net/unix has it: an abstract name begins with a NUL byte, for which `@` stands, as for every other NUL. So
    /// that a path that begins with `@` is not taken for one, `./` is put before it.
    fn unix(name: &[u8]) -> Option<Self> {
        let name = match name {
            [] => return None,
            [0, ..] => name.iter().map(|byte| if *byte == 0 { b'@' } else { *byte }).collect(),
            [b'@', ..] => [b"./", text::until_nul(name)].concat(),
            _ => text::until_nul(name).to_vec(),
        };
        Some(Address { text: text::escape(&name), port: None })
    }
}

/// include/linux/socket.h
const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
/// include/linux/net.h
const SOCK_RAW: u32 = 3;

impl FileNames {
    /// Takes a descriptor's names off the tail.
    pub fn take(&mut self, fd: &vmt_fd, kind: DescriptorKind, tail: &mut &[u8]) -> Option<()> {
        (self.local, self.peer) = (None, None);
        if kind != DescriptorKind::Socket {
            return take_path(&mut self.path, fd, tail);
        }
        self.path.clear();
        let names = take_bytes(tail, usize::from(fd.path_len))?;
        if names.is_empty() {
            return Some(());
        }
        let (socket, mut names) = take::<vmt_socket>(names)?;
        let family = u32::from(fd.family);
        let local = take_bytes(&mut names, usize::from(socket.local_len))?;
        let peer = take_bytes(&mut names, usize::from(socket.peer_len))?;
        self.local = Address::new(&socket, family, local, socket.local_port);
        self.peer = Address::new(&socket, family, peer, socket.peer_port);
        Some(())
    }
}

/// Takes a descriptor's path off the tail.
pub fn take_path(out: &mut String, fd: &vmt_fd, tail: &mut &[u8]) -> Option<()> {
    out.clear();
    let components = take_bytes(tail, usize::from(fd.path_len))?;
    let flag = |bit: u32| u32::from(fd.flags) & bit != 0;
    if !components.is_empty() || flag(VMT_PATH_CUT) {
        text::path_into(out, components, flag(VMT_PATH_CUT), flag(VMT_PATH_DELETED));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(family: u32, kind: u16, ports: [u16; 2], local: &[u8], peer: &[u8]) -> (vmt_fd, Vec<u8>) {
        let [local_port, peer_port] = ports.map(u16::to_be_bytes);
        let [local_len, peer_len] = [local, peer].map(|name| name.len() as u8);
        let fixed = [&local_port[..], &peer_port, &kind.to_ne_bytes(), &[local_len, peer_len]].concat();
        let tail = [&fixed[..], local, peer].concat();
        let (kind, path_len) = (VMT_FD_SOCKET as u8, tail.len() as u16);
        (vmt_fd { kind, path_len, family: family as u16, ..Default::default() }, tail)
    }

    /// Local and peer as text, `port` behind a space.
    fn read((fd, tail): (vmt_fd, Vec<u8>)) -> [Option<String>; 2] {
        let mut names = FileNames::default();
        let mut rest = tail.as_slice();
        names.take(&fd, DescriptorKind::Socket, &mut rest).unwrap();
        assert!(rest.is_empty() && names.path.is_empty());
        [names.local, names.peer]
            .map(|address| address.map(|a| a.port.map_or(a.text.clone(), |port| format!("{} {port}", a.text))))
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_string())
    }

    #[test]
    fn ip_addresses_have_ports() {
        let v4 = |local: [u8; 4], peer: [u8; 4], ports| read(socket(AF_INET, 1, ports, &local, &peer));
        assert_eq!(v4([127, 0, 0, 1], [10, 0, 0, 9], [80, 40_000]), [some("127.0.0.1 80"), some("10.0.0.9 40000")]);
        assert_eq!(v4([0; 4], [0; 4], [80, 0]), [some("0.0.0.0 80"), None], "it listens");
        assert_eq!(v4([0; 4], [0; 4], [0, 0]), [None, None], "it is bound to nothing");
        let loopback = Ipv6Addr::LOCALHOST.octets();
        let mapped = Ipv4Addr::new(10, 0, 0, 9).to_ipv6_mapped().octets();
        let v6 = read(socket(AF_INET6, 1, [443, 65_535], &loopback, &mapped));
        assert_eq!(v6, [some("::1 443"), some("::ffff:10.0.0.9 65535")]);
        let raw = read(socket(AF_INET, SOCK_RAW as u16, [1, 0], &[127, 0, 0, 1], &[0; 4]));
        assert_eq!(raw, [some("127.0.0.1"), None], "1 is ICMP");
    }

    #[test]
    fn unix_names_are_those_of_proc() {
        let unix = |local: &[u8], peer: &[u8]| read(socket(AF_UNIX, 1, [0; 2], local, peer));
        assert_eq!(unix(b"/run/x.sock\0", b""), [some("/run/x.sock"), None]);
        assert_eq!(unix(b"", b"\0bus\0\0"), [None, some("@bus@@")]);
        assert_eq!(unix(b"\0", b"@bus\0"), [some("@"), some("./@bus")], "no path is taken for an abstract name");
        assert_eq!(unix(&[b'a'; 108], b"\0\x1b\xff\n"), [some(&"a".repeat(108)), some("@\x1b\\xff\n")]);
    }

    #[test]
    fn other_families_and_short_records_have_no_names() {
        assert_eq!(read(socket(40, 1, [0; 2], &[1; 4], b"")), [None, None], "AF_VSOCK");
        assert_eq!(read(socket(AF_INET, 1, [80, 80], b"", b"123")), [None, None]);
        let nothing = vmt_fd { kind: VMT_FD_SOCKET as u8, family: 2, ..Default::default() };
        assert_eq!(read((nothing, Vec::new())), [None, None]);
        let (fd, tail) = socket(AF_INET, 1, [80, 80], &[1; 4], &[2; 4]);
        for len in 0..tail.len() {
            assert!(FileNames::default().take(&fd, DescriptorKind::Socket, &mut &tail[..len]).is_none(), "{len} bytes");
        }
        let (fd, mut tail) = socket(AF_INET, 1, [80, 80], &[1; 4], &[2; 4]);
        tail[7] = 5;
        assert!(
            FileNames::default().take(&fd, DescriptorKind::Socket, &mut tail.as_slice()).is_none(),
            "a name longer than the record"
        );
    }
}
