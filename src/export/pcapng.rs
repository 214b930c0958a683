//! A packet for each captured payload (pcapng), for Wireshark and tshark.
//!
//! A payload belongs to no protocol that has a link type. So packets are exported PDUs (link type 252): tags, each with its length,
//! and behind them the bytes. The tags say that the bytes are data, what stands in the columns Protocol and Info, and the direction.
//! Comments have the rest. Each pair of caller and target is an interface, and so is each pipe.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use anyhow::{Result, anyhow};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::{DataLink, PcapError};

use super::left_out::LeftOut;
use super::sentence::sentence;
use super::{Export, Origin};
use crate::model::process::{HostId, Identity};
use crate::model::transfer::{End, Transfer};
use crate::schema::Event;
use crate::schema::types::Iovecs;
use crate::schema::vocabulary::Direction;
use crate::terminal::escape::Safe;

/// LINKTYPE_WIRESHARK_UPPER_PDU.
const UPPER_PDU: u32 = 252;
/// Tags of an exported PDU (epan/exported_pdu.h in Wireshark's sources).
const DISSECTOR: u16 = 12;
const PROTOCOL: u16 = 33;
const WAY: u16 = 35;
const INFO: u16 = 36;
const END: u16 = 0;
/// Values of `WAY`.
const SENT: u32 = 0;
const RECEIVED: u32 = 1;
/// Values of the flags of a packet.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/// Interfaces at most. What is beyond shares one.
const INTERFACES: usize = 16_384;
/// Bytes of the largest packet that readers take (WTAP_MAX_PACKET_SIZE_STANDARD, wiretap/wtap.h, Wireshark 4.0). The recorder keeps
/// less of a call; a file may claim more. The packet says how long it was.
const LARGEST: usize = 262_144;
/// Bytes of the longest comment or name: a file may claim more.
const LONGEST: usize = 1_024;
/// Ranges of an array in a comment.
const RANGES: usize = 8;

/// What an interface stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pair {
    /// A caller and its target, if it has one.
    Processes(Identity, Option<Identity>),
    /// A pipe, by its inode.
    Pipe(HostId, u64),
    /// Whatever is beyond the limit.
    Others,
}

impl Pair {
    fn of(event: &Event<'_>) -> Self {
        let transfer = Transfer::of(event);
        let ends = transfer.iter().flat_map(|transfer| [transfer.from, transfer.to]);
        let mut pipes = ends.filter_map(|end| match end {
            End::Pipe { inode, .. } => inode,
            End::Memory { .. } | End::Register { .. } | End::Socket { .. } | End::File { .. } => None,
        });
        match pipes.next() {
            Some(inode) => Pair::Pipe(HostId::of(event.host), inode),
            None => Pair::Processes(Identity::caller(event), Identity::target(event)),
        }
    }

    fn name(self, event: &Event<'_>) -> String {
        let caller = Safe(event.comm);
        let name = match (self, event.target_pid) {
            (Pair::Pipe(_, inode), _) => format!("pipe:[{inode}]"),
            (Pair::Others, _) => "others".to_string(),
            (Pair::Processes(..), Some(target)) => {
                format!("{caller}[{}] <-> {}[{target}]", event.pid, Safe(event.target_comm.unwrap_or_default()))
            }
            (Pair::Processes(..), None) => format!("{caller}[{}]", event.pid),
        };
        match (self, event.host) {
            (Pair::Others, _) | (_, None) => name,
            (_, Some(host)) => format!("{}:{name}", Safe(host)),
        }
    }
}

/// Writes packets to `out`.
pub struct Pcapng<W: Write> {
    /// The output, until the header has been written.
    out: Option<W>,
    writer: Option<PcapNgWriter<W>>,
    interfaces: HashMap<Pair, u32>,
    left_out: LeftOut,
}

impl<W: Write> std::fmt::Debug for Pcapng<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pcapng").field("interfaces", &self.interfaces.len()).finish_non_exhaustive()
    }
}

impl<W: Write> Pcapng<W> {
    /// An exporter that writes to `out`.
    pub fn new(out: W) -> Self {
        Pcapng { out: Some(out), writer: None, interfaces: HashMap::new(), left_out: LeftOut::default() }
    }

    fn writer(&mut self) -> Result<&mut PcapNgWriter<W>> {
        if let Some(out) = self.out.take() {
            self.writer = Some(PcapNgWriter::new(out).map_err(plain)?);
        }
        self.writer.as_mut().ok_or_else(|| anyhow!("the header could not be written"))
    }

    /// The number of an interface, which is described before its first packet.
    fn interface(&mut self, event: &Event<'_>) -> Result<u32> {
        let pair = Pair::of(event);
        let pair =
            if self.interfaces.contains_key(&pair) || self.interfaces.len() < INTERFACES { pair } else { Pair::Others };
        if let Some(number) = self.interfaces.get(&pair) {
            return Ok(*number);
        }
        let number = u32::try_from(self.interfaces.len())?;
        let name = limited(pair.name(event));
        // Instants are in ns.
        let options =
            vec![InterfaceDescriptionOption::IfName(Cow::Owned(name)), InterfaceDescriptionOption::IfTsResol(9)];
        let block = InterfaceDescriptionBlock { linktype: DataLink::from(UPPER_PDU), snaplen: 0, options };
        self.writer()?.write_pcapng_block(block).map_err(plain)?;
        self.interfaces.insert(pair, number);
        Ok(number)
    }
}

impl<W: Write> Export for Pcapng<W> {
    fn capture(&mut self, _origin: &Origin<'_>) -> Result<()> {
        self.writer().map(|_| ())
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        let Some(payload) = event.payload.filter(|payload| !payload.is_empty()) else {
            self.left_out.note(event);
            return Ok(());
        };
        let interface_id = self.interface(event)?;
        let mut said = String::new();
        sentence(&mut said, event);
        let direction = event.direction.and_then(|direction| Direction::parse(direction).ok());
        let mut data = tags(event, &said, direction);
        let whole = event.payload_total.max(0).unsigned_abs().max(payload.len() as u64);
        let original_len = u32::try_from(whole.saturating_add(data.len() as u64)).unwrap_or(u32::MAX);
        let room = LARGEST.saturating_sub(data.len()).min(payload.len());
        data.extend_from_slice(payload.get(..room).unwrap_or(payload));
        let mut options = vec![EnhancedPacketOption::Comment(Cow::Owned(comment(event, &said)))];
        options.extend(direction.map(|direction| match direction {
            Direction::In => EnhancedPacketOption::Flags(INBOUND),
            Direction::Out => EnhancedPacketOption::Flags(OUTBOUND),
        }));
        let timestamp = Duration::from_nanos(u64::try_from(event.ts_ns).unwrap_or(0));
        let block = EnhancedPacketBlock { interface_id, timestamp, original_len, data: Cow::Owned(data), options };
        self.writer()?.write_pcapng_block(block).map_err(plain)?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        match &mut self.writer {
            Some(writer) => Ok(writer.get_mut().flush()?),
            None => Ok(()),
        }
    }

    fn left_out(&self) -> Vec<String> {
        self.left_out.sentences("pcapng")
    }
}

/// The io::Error within, so that a closed pipe is known for one.
fn plain(error: PcapError) -> anyhow::Error {
    match error {
        PcapError::IoError(error) => error.into(),
        error => error.into(),
    }
}

/// The tags in front of a payload.
fn tags(event: &Event<'_>, said: &str, direction: Option<Direction>) -> Vec<u8> {
    let mut tags = Vec::new();
    tag(&mut tags, DISSECTOR, b"data");
    tag(&mut tags, PROTOCOL, limited(Safe(event.event).to_string()).as_bytes());
    tag(&mut tags, INFO, limited(Safe(said).to_string()).as_bytes());
    match direction {
        Some(Direction::In) => tag(&mut tags, WAY, &RECEIVED.to_be_bytes()),
        Some(Direction::Out) => tag(&mut tags, WAY, &SENT.to_be_bytes()),
        None => {}
    }
    tag(&mut tags, END, &[]);
    tags
}

/// One tag, filled up to a multiple of four bytes.
fn tag(tags: &mut Vec<u8>, number: u16, value: &[u8]) {
    let length = value.len().next_multiple_of(4);
    tags.extend_from_slice(&number.to_be_bytes());
    // No value is longer than LONGEST.
    tags.extend_from_slice(&u16::try_from(length).unwrap_or(0).to_be_bytes());
    tags.extend_from_slice(value);
    tags.resize(tags.len() + length - value.len(), 0);
}

fn comment(event: &Event<'_>, said: &str) -> String {
    let mut text = limited(Safe(said).to_string());
    ranges(&mut text, "remote", event.remote_iov);
    ranges(&mut text, "local", event.local_iov);
    // Writing to a String cannot fail.
    let _ = write!(text, "; seq {}", event.seq);
    text
}

fn ranges(text: &mut String, name: &str, ranges: Option<Iovecs<'_>>) {
    let Some(ranges) = ranges.filter(|ranges| !ranges.is_empty()) else { return };
    let _ = write!(text, "; {name}");
    for range in ranges.iter().take(RANGES) {
        let _ = write!(text, " {:#x}+{}", range.base, range.len);
    }
    if ranges.len() > RANGES {
        let _ = write!(text, " and {} more", ranges.len() - RANGES);
    }
}

/// A text, cut where it is too long.
fn limited(mut text: String) -> String {
    let end = (0..=text.len().min(LONGEST)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcapng::{Block, PcapNgReader};

    fn written(events: &[Event<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut exporter = Pcapng::new(&mut out);
        events.iter().for_each(|event| exporter.event(event).unwrap());
        drop(exporter);
        out
    }

    #[test]
    fn tags_are_filled_up_to_four_bytes() {
        let mut tags = Vec::new();
        tag(&mut tags, PROTOCOL, b"abcde");
        assert_eq!(tags, b"\0\x21\0\x08abcde\0\0\0");
        tag(&mut tags, END, &[]);
        assert!(tags.ends_with(b"\0\0\0\0") && tags.len() == 16);
    }

    #[test]
    fn a_packet_has_the_payload_and_says_how_long_it_was() {
        let event = Event {
            event: "process_vm_readv",
            pid: 1,
            target_pid: Some(2),
            direction: Some("in"),
            bytes: Some(100),
            payload: Some(b"some"),
            payload_len: 4,
            payload_total: 100,
            ts_ns: 1_700_000_000_123_456_789,
            comm: "a\x1b",
            ..Event::default()
        };
        let bytes = written(&[event, Event { payload: None, ..event }, Event { target_pid: Some(3), ..event }, event]);
        let mut reader = PcapNgReader::new(bytes.as_slice()).unwrap();
        let (mut packets, mut names) = (Vec::new(), Vec::new());
        while let Some(block) = reader.next_block() {
            match block.unwrap().into_owned() {
                Block::EnhancedPacket(packet) => packets.push(packet),
                Block::InterfaceDescription(interface) => names.push(format!("{:?}", interface.options)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((packets.len(), names.len()), (3, 2));
        assert!(names.iter().all(|name| !name.contains('\x1b') && name.contains("<->")), "{names:?}");
        assert_eq!(packets.iter().map(|packet| packet.interface_id).collect::<Vec<_>>(), [0, 1, 0]);
        let packet = packets.first().unwrap();
        assert!(packet.data.ends_with(b"\0\0\0\0some"));
        assert_eq!(packet.original_len as usize - packet.data.len(), 96);
        assert_eq!(packet.timestamp.as_nanos(), 1_700_000_000_123_456_789);
    }

    /// Readers refuse the whole file for one packet that is longer.
    #[test]
    fn no_packet_is_longer_than_readers_take() {
        let payload = vec![b'x'; 300_000];
        let event =
            Event { event: "read", pid: 1, payload: Some(&payload), payload_total: 300_000, ..Event::default() };
        let bytes = written(&[event]);
        let mut reader = PcapNgReader::new(bytes.as_slice()).unwrap();
        let mut lengths = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                lengths.push((packet.data.len(), packet.original_len > 300_000));
            }
        }
        assert_eq!(lengths, [(LARGEST, true)]);
    }

    #[test]
    fn interfaces_are_bounded() {
        let event = |pid| Event { event: "read", pid, target_pid: Some(2), payload: Some(b"x"), ..Event::default() };
        let mut exporter = Pcapng::new(std::io::sink());
        (0..INTERFACES as i32 + 10).for_each(|pid| exporter.event(&event(pid)).unwrap());
        assert!(exporter.interfaces.len() <= INTERFACES + 1);
    }
}
