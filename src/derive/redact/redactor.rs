//! What a rule does to a number or a text of a row, by the other values of the row.

use std::collections::HashMap;
use std::rc::Rc;

use super::clocks::Shift;
use super::kinds::Kind;
use super::names::Names;
use super::payload;
use super::rules::Rule;
use crate::model::origin;
use crate::schema::vocabulary::{PayloadStatus, RedactionLevel as Level};
use crate::schema::{Event, EventKind};

/// What is done to the rows of a capture.
#[derive(Debug)]
pub struct Redactor {
    /// Pseudonyms.
    pub names: Names,
    /// The shift of the clocks.
    pub shift: Shift,
    /// Whether bytes stay, with secrets masked.
    pub masked: bool,
    /// Columns that are left out.
    pub dropped: Vec<&'static str>,
    /// What was done to payloads.
    pub payloads: Payloads,
    /// What rows call the hosts, each with what stands for it.
    pub hosts: HashMap<String, String>,
}

/// What was done to payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payloads {
    /// Rows whose payload was removed.
    pub removed: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Secrets that were masked.
    pub secrets: u64,
}

/// A text that stays, or another.
#[derive(Debug)]
pub enum TextOf<'t> {
    /// As it was.
    Kept(&'t str),
    /// Its pseudonym.
    Made(Rc<str>),
}

/// Requests of ptrace(2) whose data argument is an address in the caller, beside those that take a set of registers.
const TAKE_ADDRESSES: &[&str] = &[
    "PTRACE_PEEKTEXT",
    "PTRACE_PEEKDATA",
    "PTRACE_PEEKUSER",
    "PTRACE_GETREGS",
    "PTRACE_SETREGS",
    "PTRACE_GETFPREGS",
    "PTRACE_SETFPREGS",
    "PTRACE_GETFPXREGS",
    "PTRACE_SETFPXREGS",
    "PTRACE_GETREGSET",
    "PTRACE_SETREGSET",
    "PTRACE_GETEVENTMSG",
    "PTRACE_GETSIGINFO",
    "PTRACE_SETSIGINFO",
    "PTRACE_PEEKSIGINFO",
    "PTRACE_GETSIGMASK",
    "PTRACE_SETSIGMASK",
];
/// Those whose data argument is a signal or a set of options.
const TAKE_SIGNALS: &[&str] = &[
    "PTRACE_CONT",
    "PTRACE_SYSCALL",
    "PTRACE_SINGLESTEP",
    "PTRACE_SINGLEBLOCK",
    "PTRACE_SYSEMU",
    "PTRACE_SYSEMU_SINGLESTEP",
    "PTRACE_DETACH",
    "PTRACE_SETOPTIONS",
    "PTRACE_SEIZE",
];
/// Those whose data argument is a word that is written.
const WRITE_WORDS: &[&str] = &["PTRACE_POKETEXT", "PTRACE_POKEDATA", "PTRACE_POKEUSER"];
/// Above all signals and options.
const SIGNALS: u64 = 1 << 24;

impl Redactor {
    /// Whether more than captured bytes is hidden.
    pub fn hides(&self) -> bool {
        self.names.level != Level::Payload
    }

    /// Whether the bytes of an event are removed.
    pub fn removes(&self, event: &Event<'_>) -> bool {
        event.payload.is_some() && !self.masked
    }

    /// Counts what is done to the payload of an event.
    pub fn count(&mut self, event: &Event<'_>) {
        if self.removes(event) {
            self.payloads.removed += 1;
            self.payloads.bytes += event.payload.map_or(0, |bytes| bytes.len() as u64);
        }
    }

    /// A number; `None` leaves it out.
    pub fn number(&mut self, rule: Rule, number: i128, event: &Event<'_>) -> Option<i128> {
        let as_i64 = i64::try_from(number).unwrap_or(0);
        let as_u64 = u64::try_from(number).unwrap_or(0);
        let names = &mut self.names;
        match rule {
            Rule::Keep => Some(number),
            Rule::PayloadLen => Some(if self.removes(event) { 0 } else { number }),
            Rule::Data => Some(self.data(as_u64, event).into()),
            Rule::Wall
            | Rule::WallMicros
            | Rule::Uptime
            | Rule::Pid
            | Rule::Uid
            | Rule::Fd
            | Rule::Result
            | Rule::Offset
            | Rule::Port
            | Rule::Inode
                if names.level == Level::Payload =>
            {
                Some(number)
            }
            Rule::Wall => Some(self.shift.wall(as_i64).into()),
            Rule::WallMicros => Some(self.shift.wall_micros(as_i64).into()),
            Rule::Uptime => Some(self.shift.uptime(as_i64).into()),
            Rule::Pid => Some(names.pid(as_i64).into()),
            Rule::Uid => Some(names.number(Kind::Uid, as_u64).into()),
            Rule::Fd => Some(names.fd(as_i64).into()),
            Rule::Result if event.is_any(&[EventKind::PidfdGetfd, EventKind::MemOpen]) => Some(match as_i64 {
                fd if fd >= 0 => names.fd(fd).into(),
                error => error.into(),
            }),
            Rule::Result => Some(number),
            Rule::Offset if origin::has_address_as_offset(event) => Some(names.address(as_u64).into()),
            Rule::Offset => Some(number),
            Rule::Port => Some(names.number(Kind::Port, as_u64).into()),
            Rule::Inode => Some(names.number(Kind::Inode, as_u64).into()),
            _ => None,
        }
    }

    /// ptrace's data argument, by what the request takes.
    fn data(&mut self, data: u64, event: &Event<'_>) -> u64 {
        let Some(request) = event.ptrace_request else { return 0 };
        match request {
            // Also where payloads are masked: what is in a word cannot be recognised.
            _ if WRITE_WORDS.contains(&request) => 0,
            _ if !self.hides() => data,
            _ if TAKE_ADDRESSES.contains(&request) => self.names.address(data),
            _ if TAKE_SIGNALS.contains(&request) && data < SIGNALS => data,
            _ => 0,
        }
    }

    /// A text; `None` leaves it out.
    pub fn text<'a>(&mut self, rule: Rule, text: Option<&'a str>, event: &Event<'_>) -> Option<TextOf<'a>> {
        let (level, removes) = (self.names.level, self.removes(event));
        let bytes = event.payload.filter(|_| removes && level != Level::Metadata);
        let made = |text: &str| Some(TextOf::Made(text.into()));
        let kind = match rule {
            Rule::Keep => return text.map(TextOf::Kept),
            // What could not be read is missed for another reason, which the ledger counts.
            Rule::PayloadStatus if removes && text != Some(PayloadStatus::Fault.as_str()) => {
                return Some(TextOf::Kept(PayloadStatus::Redacted.as_str()));
            }
            Rule::PayloadStatus => return text.map(TextOf::Kept),
            Rule::Entropy if bytes.is_some() => return payload::entropy(bytes?).and_then(|class| made(class.as_str())),
            Rule::Digest if bytes.is_some() => return made(&payload::digest(&self.names.secret, bytes?)),
            // What an earlier redaction has left of it.
            Rule::Entropy | Rule::Digest => {
                return text.filter(|_| level != Level::Metadata && !removes).map(TextOf::Kept);
            }
            Rule::Comm => Kind::Comm,
            Rule::Path => Kind::Path,
            Rule::ProcessKey => Kind::ProcessKey,
            Rule::Cgroup => Kind::Cgroup,
            Rule::Container => Kind::Container,
            Rule::Net => Kind::Net,
            // Not null, which says that it could not be read.
            Rule::Argv if level == Level::Metadata => return text.map(|_| TextOf::Kept("")),
            Rule::Argv => Kind::Word,
            Rule::HostLabel if level != Level::Payload => {
                let label = text?;
                return match self.hosts.get(label) {
                    Some(made) => Some(TextOf::Made(made.as_str().into())),
                    None => Some(TextOf::Made(self.names.text(Kind::Host, label))),
                };
            }
            Rule::HostLabel => return text.map(TextOf::Kept),
            _ => return None,
        };
        match level {
            Level::Payload => text.map(TextOf::Kept),
            Level::Share | Level::Metadata => Some(TextOf::Made(self.names.text(kind, text?))),
        }
    }
}
