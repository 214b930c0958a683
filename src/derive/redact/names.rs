//! Pseudonyms: what stands in the file for a name, a number or an address.
//!
//! The form of a value stays, so that readers understand it. Each is derived from the value and the secret alone, so
//! nothing has to be remembered; what is, is for speed, and bounded.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::rc::Rc;

use super::addresses;
use super::kinds::{Found, Kind};
use super::known;
use super::options::Keep;
use super::secret::Secret;
use crate::schema::vocabulary::RedactionLevel as Level;

/// Hexadecimal digits of a pseudonym: 40 bits. `comm-` and they are as long as a thread name may be.
const DIGITS: usize = 10;
/// Those of a process' identity, as a recorder writes it.
const KEY_DIGITS: usize = 16;
/// Answers that are remembered, of texts and of numbers.
const REMEMBERED: usize = 1 << 16;
/// Bytes of texts that are remembered.
const REMEMBERED_BYTES: usize = 32 << 20;
/// Above the highest process id (PID_MAX_LIMIT).
const PIDS: u64 = 1 << 22;
/// Above all numbers of 32 bits.
const LARGE: u64 = 1 << 32;
/// The highest of these, which stands for no user.
const OF_32_BITS: u64 = LARGE - 1;

/// Gives pseudonyms.
#[derive(Debug)]
pub struct Names {
    pub(super) secret: Secret,
    pub(super) level: Level,
    pub(super) keep: Keep,
    /// What was replaced.
    pub found: Found,
    /// By kind.
    texts: HashMap<Kind, HashMap<Box<str>, Rc<str>>>,
    known: usize,
    bytes: usize,
    numbers: HashMap<(Kind, u64), u64>,
}

impl Names {
    /// Pseudonyms of a level above `payload`.
    pub fn new(secret: Secret, level: Level, keep: Keep, mapped: bool) -> Self {
        let (texts, numbers) = (HashMap::new(), HashMap::new());
        Names { secret, level, keep, found: Found::new(mapped), texts, known: 0, bytes: 0, numbers }
    }

    /// Whether well-known names stay.
    pub(super) fn keeps_known(&self) -> bool {
        self.level == Level::Share
    }

    /// What stands for a text.
    pub fn text(&mut self, kind: Kind, text: &str) -> Rc<str> {
        if let Some(known) = self.texts.get(&kind).and_then(|of| of.get(text)) {
            return known.clone();
        }
        let made: Rc<str> = self.made(kind, text).into();
        if *made != *text {
            self.found.note(kind, text, &made);
        }
        self.bytes += text.len() + made.len();
        if self.known >= REMEMBERED || self.bytes > REMEMBERED_BYTES {
            self.texts.clear();
            self.known = 0;
            self.bytes = text.len() + made.len();
        }
        self.texts.entry(kind).or_default().insert(text.into(), made.clone());
        self.known += 1;
        made
    }

    fn made(&mut self, kind: Kind, text: &str) -> String {
        if text.is_empty() || self.keep.keeps(kind, text) {
            return text.to_string();
        }
        match kind {
            Kind::Comm => self.comm(text),
            Kind::Path => self.path(text),
            Kind::Word => self.argv(text),
            Kind::Cgroup => self.cgroup(text),
            Kind::Container => self.hashed("ctr-", text),
            Kind::Net => self.net(text),
            Kind::ProcessKey => self.secret.hex("process", text.as_bytes(), KEY_DIGITS),
            Kind::Host => self.hashed("host-", text),
            Kind::Uid | Kind::Port | Kind::Pid | Kind::Inode | Kind::Fd | Kind::Region => self.hashed("num-", text),
        }
    }

    /// The same name has the same digits as a thread's name, a file, a directory and a word.
    pub(super) fn hashed(&self, front: &str, name: &str) -> String {
        format!("{front}{}", self.secret.hex("name", name.as_bytes(), DIGITS))
    }

    /// A thread's name.
    pub(super) fn comm(&mut self, name: &str) -> String {
        if (self.keeps_known() && known::is_known(name)) || self.keep.keeps(Kind::Comm, name) {
            return name.to_string();
        }
        self.hashed("comm-", name)
    }

    /// An id of the host or of a capture, as long as `digits` say.
    pub fn id(&mut self, front: &str, id: &str, digits: usize) -> String {
        if id.is_empty() {
            return String::new();
        }
        let made = format!("{front}{}", self.secret.hex("id", id.as_bytes(), digits));
        self.found.note(Kind::Host, id, &made);
        made
    }

    /// An IP address, or the name of a unix socket. Others' addresses come from ranges that nobody has: 240.0.0.0/4 and
    /// 2001:db8::/32 (RFC 1112, RFC 3849).
    fn net(&mut self, text: &str) -> String {
        let Ok(address) = text.parse::<IpAddr>() else {
            let (front, rest) = text.split_at(text.len() - text.trim_start_matches('@').len());
            return format!("{front}{}", self.path(rest));
        };
        if self.keeps_known() && known::NETWORK.contains(&text) {
            return text.to_string();
        }
        match address {
            IpAddr::V4(address) => self.of_v4(address).to_string(),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(inner) => self.of_v4(inner).to_ipv6_mapped().to_string(),
                None => {
                    let mut octets = self.secret.digest("ipv6", &address.octets());
                    octets.iter_mut().zip([0x20, 0x01, 0x0d, 0xb8]).for_each(|(slot, byte)| *slot = byte);
                    Ipv6Addr::from(octets.first_chunk().copied().unwrap_or([0; 16])).to_string()
                }
            },
        }
    }

    fn of_v4(&self, address: Ipv4Addr) -> Ipv4Addr {
        if self.keeps_known() && address.is_loopback() {
            return address;
        }
        Ipv4Addr::from(self.secret.number("ipv4", &address.octets()) as u32 | 0xf000_0000)
    }

    /// What stands for a number that is not negative.
    pub fn number(&mut self, kind: Kind, number: u64) -> u64 {
        if let Some(known) = self.numbers.get(&(kind, number)) {
            return *known;
        }
        let made = self.renumbered(kind, number);
        if made != number {
            self.found.note(kind, &number.to_string(), &made.to_string());
        }
        if self.numbers.len() >= REMEMBERED {
            self.numbers.clear();
        }
        self.numbers.insert((kind, number), made);
        made
    }

    /// Within ranges, so that a number still looks like one of its kind. Only constants stay.
    fn renumbered(&mut self, kind: Kind, number: u64) -> u64 {
        if self.is_constant(kind, number) {
            return number;
        }
        let ranges = self.ranges(kind);
        match (ranges.iter().find(|range| range.contains(&number)), ranges.last()) {
            (Some(range), _) => self.secret.renumber(kind.name(), number, range.clone()),
            // No such thing has this number, but a file can say so: another one, though not one to one.
            (None, Some(last)) => {
                let digest = self.secret.number(kind.name(), &number.to_le_bytes());
                last.start + digest % (last.end - last.start)
            }
            (None, None) => 0,
        }
    }

    /// Whether a number stays: it says something that everybody knows, or it is to be kept.
    fn is_constant(&mut self, kind: Kind, number: u64) -> bool {
        match kind {
            // 0 is no process, 1 is init.
            Kind::Pid => number <= 1,
            Kind::Uid if self.keep.keeps(Kind::Uid, &number.to_string()) => true,
            Kind::Uid if self.keeps_known() => known::USERS.iter().any(|uid| u64::from(*uid) == number),
            // No user.
            Kind::Uid => number == u64::from(u32::MAX),
            // Standard streams.
            Kind::Fd => number <= 2,
            Kind::Port if self.keeps_known() => number < 1_024,
            Kind::Inode | Kind::Port => number == 0,
            Kind::Comm | Kind::Path | Kind::Word | Kind::Host | Kind::Cgroup | Kind::Container => false,
            Kind::Net | Kind::ProcessKey | Kind::Region => false,
        }
    }

    /// Where the numbers of a kind are, beside the constants.
    fn ranges(&self, kind: Kind) -> &'static [Range<u64>] {
        match kind {
            Kind::Pid => &[2..PIDS, PIDS..LARGE],
            Kind::Uid if self.keeps_known() => &[1..65_534, 65_535..OF_32_BITS],
            Kind::Uid => &[0..65_536, 65_536..OF_32_BITS],
            Kind::Inode => &[1..LARGE, LARGE..u64::MAX],
            Kind::Fd => &[3..1_024, 1_024..1 << 20, 1 << 20..1 << 31],
            Kind::Port if self.keeps_known() => &[1_024..65_536, 65_536..OF_32_BITS],
            Kind::Port => &[1..65_536, 65_536..OF_32_BITS],
            Kind::Comm | Kind::Path | Kind::Word | Kind::Host | Kind::Cgroup | Kind::Container => &[],
            Kind::Net | Kind::ProcessKey | Kind::Region => &[],
        }
    }

    /// Whether something of a kind can have this number.
    pub(super) fn can_be(&mut self, kind: Kind, number: i64) -> bool {
        let Ok(number) = u64::try_from(number) else { return false };
        self.is_constant(kind, number) || self.ranges(kind).iter().any(|range| range.contains(&number))
    }

    /// A process id as it was passed: below -1 it means a process group, and its sign stays.
    pub fn pid(&mut self, pid: i64) -> i64 {
        let made = self.number(Kind::Pid, pid.unsigned_abs());
        let made = i64::try_from(made).unwrap_or(0);
        if pid < 0 { -made } else { made }
    }

    /// A descriptor; what is negative is none.
    pub fn fd(&mut self, fd: i64) -> i64 {
        u64::try_from(fd).map_or(fd, |fd| i64::try_from(self.number(Kind::Fd, fd)).unwrap_or(0))
    }

    /// An address in memory; 0 where addresses are removed.
    pub fn address(&mut self, address: u64) -> u64 {
        if self.level == Level::Metadata {
            return 0;
        }
        if let Some(region) = addresses::region(address)
            && !self.numbers.contains_key(&(Kind::Region, region))
        {
            if let Some((pseudonym, original)) = addresses::way_back(&self.secret, address) {
                self.found.note(Kind::Region, &original, &pseudonym);
            }
            self.numbers.insert((Kind::Region, region), region);
        }
        addresses::moved(&self.secret, address)
    }
}

#[cfg(test)]
mod tests;
