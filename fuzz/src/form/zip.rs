//! A zip archive with the digests of a bundle, written with the right sums except where an edit says otherwise.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use sha2::{Digest, Sha256};

use super::edit::Edit;

const SUMS: &str = "SHA256SUMS";
const MOST: usize = 8 << 20;

#[derive(Clone, Debug)]
struct Entry {
    name: Vec<u8>,
    /// In the place of its bytes, where that is another one.
    own_name: Option<Vec<u8>>,
    content: Vec<u8>,
    method: u16,
}

/// The files of an archive.
#[derive(Clone, Debug)]
pub struct Zip {
    entries: Vec<Entry>,
}

/// The fields of a header by offset and width: what a lie can be about.
const LOCAL: [(usize, usize); 9] = [(4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (0, 4)];
const CENTRAL: [(usize, usize); 14] = [
    (0, 4),
    (4, 2),
    (8, 2),
    (10, 2),
    (16, 4),
    (20, 4),
    (24, 4),
    (28, 2),
    (30, 2),
    (32, 2),
    (34, 2),
    (38, 4),
    (42, 4),
    (5, 1),
];
const END: [(usize, usize); 7] = [(4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)];

impl Zip {
    /// A bundle of these files.
    pub fn bundle(files: &[(&str, &[u8])]) -> Self {
        let entry = |(name, content): &(&str, &[u8])| Entry {
            name: name.as_bytes().to_vec(),
            own_name: None,
            content: content.to_vec(),
            method: if name.ends_with(".parquet") { 0 } else { 8 },
        };
        Zip { entries: files.iter().map(entry).collect() }
    }

    /// The archive's bytes with `edits` in it.
    pub fn write(mut self, edits: &[Edit]) -> Vec<u8> {
        let of = |area: u8| edits.iter().filter(move |edit| edit.area % 8 == area);
        of(0).for_each(|edit| self.change(edit));
        let mut sums = Vec::new();
        for entry in &self.entries {
            for byte in Sha256::digest(&entry.content) {
                write!(sums, "{byte:02x}").expect("memory");
            }
            sums.extend(b"  ");
            sums.extend(&entry.name);
            sums.push(b'\n');
        }
        of(1).for_each(|edit| edit.bytes(&mut sums, edit.sub as usize));
        self.entries.push(Entry { name: SUMS.into(), own_name: None, content: sums, method: 8 });
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        let count = self.entries.len();
        for (index, entry) in self.entries.iter().enumerate() {
            let mine = |area: u8| of(area).filter(move |edit| edit.place(count) == index);
            let mut packed = entry.packed();
            mine(2).filter(|_| packed_is_small(entry)).for_each(|edit| edit.bytes(&mut packed, edit.sub as usize));
            let at = out.len();
            let mut header = entry.header(&packed);
            mine(3).for_each(|edit| lie(&mut header, edit, &LOCAL));
            out.extend(header);
            out.extend(entry.own_name.as_ref().unwrap_or(&entry.name));
            out.extend(packed.iter());
            let mut central = entry.central(&packed, at);
            mine(4).for_each(|edit| lie(&mut central, edit, &CENTRAL));
            directory.extend(central);
            directory.extend(&entry.name);
        }
        let at = out.len();
        out.extend(&directory);
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend((count as u16).to_le_bytes());
        end.extend((count as u16).to_le_bytes());
        end.extend((directory.len() as u32).to_le_bytes());
        end.extend((at as u32).to_le_bytes());
        end.extend([0, 0]);
        of(5).for_each(|edit| lie(&mut end, edit, &END));
        out.extend(end);
        of(6).filter(|edit| edit.op & 1 == 0).for_each(|edit| edit.bytes(&mut out, edit.sub as usize));
        of(7).filter(|edit| edit.op & 1 == 0).for_each(|edit| {
            let at = at.min(out.len());
            let mut tail = out.split_off(at);
            edit.bytes(&mut tail, edit.sub as usize);
            out.extend(tail);
        });
        out.truncate(MOST);
        out
    }

    fn change(&mut self, edit: &Edit) {
        let count = self.entries.len();
        if count == 0 {
            return;
        }
        let (a, b) = (edit.place(count), edit.within(count));
        match edit.op % 8 {
            0 => drop(self.entries.remove(a)),
            1 if count < 1100 => {
                let mut entry = self.entries[a].clone();
                entry.name.extend(format!("{count}").bytes());
                self.entries.insert(b, entry);
            }
            2 => self.entries[a].name = edit.word(),
            3 => self.entries[a].own_name = Some(edit.word()),
            4 => self.entries[a].method = edit.number() as u16 % 20,
            5 => self.entries[a].method = 8,
            6 => self.entries.swap(a, b),
            _ => {
                let content = &mut self.entries[a].content;
                edit.bytes(content, edit.sub as usize);
                content.truncate(MOST / 2);
            }
        }
    }
}

/// Bombs are made of what is unpacked.
fn packed_is_small(entry: &Entry) -> bool {
    entry.content.len() < MOST
}

impl Entry {
    fn packed(&self) -> Vec<u8> {
        if self.method != 8 {
            return self.content.clone();
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&self.content).expect("memory");
        encoder.finish().expect("memory")
    }

    fn common(&self, packed: &[u8], name: usize) -> Vec<u8> {
        let mut out = vec![20, 0, 0, 8];
        out.extend(self.method.to_le_bytes());
        out.extend([0, 0, 0x21, 0x5b]);
        out.extend(crc32fast::hash(&self.content).to_le_bytes());
        out.extend((packed.len() as u32).to_le_bytes());
        out.extend((self.content.len() as u32).to_le_bytes());
        out.extend((name as u16).to_le_bytes());
        out.extend([0, 0]);
        out
    }

    fn header(&self, packed: &[u8]) -> Vec<u8> {
        let mut out = b"PK\x03\x04".to_vec();
        out.extend(self.common(packed, self.own_name.as_ref().unwrap_or(&self.name).len()));
        out
    }

    fn central(&self, packed: &[u8], at: usize) -> Vec<u8> {
        let mut out = b"PK\x01\x02\x14\x03".to_vec();
        out.extend(self.common(packed, self.name.len()));
        out.extend([0; 6]);
        out.extend((0o100_600u32 << 16).to_le_bytes());
        out.extend((at as u32).to_le_bytes());
        out
    }
}

/// Another number in a field.
fn lie(header: &mut [u8], edit: &Edit, fields: &[(usize, usize)]) {
    let (at, width) = fields[edit.within(fields.len())];
    if let Some(field) = header.get_mut(at..at + width) {
        field.copy_from_slice(&edit.number().to_le_bytes()[..width]);
    }
}
