//! What a killed recorder leaves: an unfinished file and a journal, taken apart into frames and records, and put
//! together again with tags, numbers and checksums that are right, except where an edit says otherwise.

use super::edit::Edit;

const HEADER: usize = 40;
const BEGIN: u8 = 1;
const RECORDS: u8 = 2;
/// What an edit makes longer stays below.
const MOST: usize = 8 << 20;

#[derive(Clone, Debug)]
struct Frame {
    kind: u8,
    number: u64,
    stamp_ns: u64,
    payload: Payload,
}

#[derive(Clone, Debug)]
enum Payload {
    Records(Vec<Vec<u8>>),
    Other(Vec<u8>),
}

/// A journal of one file.
#[derive(Clone, Debug)]
pub struct Journal {
    tag: u64,
    frames: Vec<Frame>,
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

impl Journal {
    /// Takes a journal apart; its records are said to be laid out as `wire` says.
    pub fn parse(bytes: &[u8], wire: &str) -> Option<Self> {
        let (mut at, mut frames, mut tag) = (0, Vec::new(), 0);
        while let Some(head) = bytes.get(at..at + HEADER).filter(|head| head.starts_with(b"VMTJ")) {
            tag = word(head, 8)?;
            let begin = at + HEADER;
            at = begin + half(head, 32)? as usize;
            let Some(payload) = bytes.get(begin..at) else { break };
            let payload = match head[4] {
                RECORDS => Payload::Records(records(payload)),
                BEGIN => {
                    let mut json: serde_json::Value = serde_json::from_slice(payload).ok()?;
                    json["wire"] = wire.into();
                    Payload::Other(serde_json::to_vec(&json).ok()?)
                }
                _ => Payload::Other(payload.to_vec()),
            };
            frames.push(Frame { kind: head[4], number: word(head, 16)?, stamp_ns: word(head, 24)?, payload });
        }
        Some(Journal { tag, frames })
    }

    /// How many frames it has.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// The journal's bytes with `edits` in it. Edits of areas 0 to 4 forge: what they change has the right sums. Those of
    /// other areas damage.
    pub fn write(mut self, edits: &[Edit]) -> Vec<u8> {
        for edit in edits {
            self.change(edit);
        }
        let mut out = Vec::new();
        for frame in &self.frames {
            let begin = out.len();
            out.extend([0; HEADER]);
            match &frame.payload {
                Payload::Records(records) => {
                    for record in records {
                        out.extend(record);
                        out.resize(begin + HEADER + (out.len() - begin - HEADER).next_multiple_of(8), 0);
                    }
                }
                Payload::Other(bytes) => out.extend(bytes),
            }
            self.seal(&mut out[begin..], frame);
        }
        for edit in edits.iter().filter(|edit| is_damage(edit)) {
            if out.len() < MOST {
                edit.bytes(&mut out, edit.sub as usize);
            }
        }
        out
    }

    fn seal(&self, bytes: &mut [u8], frame: &Frame) {
        let len = (bytes.len() - HEADER) as u32;
        bytes[..4].copy_from_slice(b"VMTJ");
        bytes[4] = frame.kind;
        bytes[8..16].copy_from_slice(&self.tag.to_le_bytes());
        bytes[16..24].copy_from_slice(&frame.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&frame.stamp_ns.to_le_bytes());
        bytes[32..36].copy_from_slice(&len.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[..HEADER - 4]);
        crc.update(&bytes[HEADER..]);
        bytes[HEADER - 4..HEADER].copy_from_slice(&crc.finalize().to_le_bytes());
    }

    fn change(&mut self, edit: &Edit) {
        match edit.area % 8 {
            0..=2 => self.change_record(edit),
            3 => {
                let mut texts: Vec<&mut Vec<u8>> = self
                    .frames
                    .iter_mut()
                    .filter_map(|frame| match &mut frame.payload {
                        Payload::Other(bytes) if !bytes.is_empty() => Some(bytes),
                        _ => None,
                    })
                    .collect();
                let place = edit.place(texts.len());
                if let Some(text) = texts.get_mut(place).filter(|text| text.len() < MOST) {
                    edit.json(text);
                }
            }
            4 => self.change_frame(edit),
            _ => {}
        }
    }

    fn change_record(&mut self, edit: &Edit) {
        let mut all: Vec<(usize, usize)> = Vec::new();
        for (index, frame) in self.frames.iter().enumerate() {
            if let Payload::Records(records) = &frame.payload {
                all.extend((0..records.len()).map(|record| (index, record)));
            }
        }
        let Some((frame, at)) = all.get(edit.place(all.len())).copied() else { return };
        let Payload::Records(records) = &mut self.frames[frame].payload else { return };
        let small = edit.number() as u64;
        match edit.op % 12 {
            // Another kind, with a struct that can be as long as that of any kind.
            0 | 1 => {
                let record = &mut records[at];
                let len = 300 + edit.within(1500);
                record.resize(len.max(record.len()), 0);
                record[..4].copy_from_slice(&(len as u32).to_le_bytes());
                record[4..6].copy_from_slice(&((small % 36) as u16).to_le_bytes());
            }
            2 => {
                let record = records[at].clone();
                records.insert(at, record);
            }
            3 => drop(records.remove(at)),
            4 => {
                let clock = word(&records[at], 8).unwrap_or_default().wrapping_add(small);
                records[at][8..16].copy_from_slice(&clock.to_le_bytes());
            }
            // A size that is a lie.
            5 => records[at][..4].copy_from_slice(&(small as u32).to_le_bytes()),
            // One of the numbers in it, 1 to 8 bytes.
            6..=9 => {
                let record = &mut records[at];
                let width = [1, 2, 4, 8][usize::from(edit.op / 12) % 4];
                let place = 4 + edit.within(record.len().saturating_sub(4)) / width * width;
                let end = (place + width).min(record.len());
                let bytes = small.to_le_bytes();
                record[place..end].copy_from_slice(&bytes[..end - place]);
            }
            // Its tail, with the right size.
            _ => {
                let record = &mut records[at];
                if record.len() < MOST / 64 {
                    let mut tail = record.split_off(64.min(record.len()));
                    edit.bytes(&mut tail, edit.sub as usize);
                    tail.truncate(1 << 17);
                    record.extend(tail);
                    let len = record.len() as u32;
                    record[..4].copy_from_slice(&len.to_le_bytes());
                }
            }
        }
    }

    fn change_frame(&mut self, edit: &Edit) {
        let count = self.frames.len();
        if count == 0 {
            return;
        }
        let (a, b) = (edit.place(count), edit.within(count));
        match edit.op % 8 {
            0 => drop(self.frames.remove(a)),
            1 if count < 256 => {
                let frame = self.frames[a].clone();
                self.frames.insert(b, frame);
            }
            2 => self.frames.swap(a, b),
            3 => self.frames[a].kind = (edit.number() % 11) as u8,
            4 => self.frames[a].number = edit.number() as u64,
            5 => self.frames[a].stamp_ns = edit.number() as u64,
            6 => self.frames.truncate(a),
            // The numbers go on without a gap.
            _ => {
                let first = self.frames.first().map_or(0, |frame| frame.number);
                let mut number = first;
                for frame in &mut self.frames {
                    frame.number = number;
                    number = number.wrapping_add(u64::from(frame.kind != BEGIN));
                }
            }
        }
    }
}

/// Whether an edit changes bytes and not what they mean: no recorder wrote the sums of what is left.
pub fn is_damage(edit: &Edit) -> bool {
    edit.area % 8 > 4
}

fn records(payload: &[u8]) -> Vec<Vec<u8>> {
    let (mut at, mut records) = (0, Vec::new());
    while let Some(size) = half(payload, at).map(|size| size as usize).filter(|size| *size >= 64) {
        let Some(record) = payload.get(at..at + size) else { break };
        records.push(record.to_vec());
        at = (at + size).next_multiple_of(8);
    }
    records
}
