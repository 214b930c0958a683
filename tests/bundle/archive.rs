//! Reads archives as others do, with Python, and makes such as no program would.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// What Python says of an entry.
#[derive(Debug)]
pub struct Entry {
    pub name: String,
    pub stored: bool,
    pub time: String,
    pub extra: String,
    pub bytes: Vec<u8>,
}

const READ: &str = "
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    for entry in archive.infolist():
        data = archive.read(entry)
        print(entry.filename, int(entry.compress_type == 0), '-'.join(map(str, entry.date_time)), entry.extra.hex() or '-', data.hex(), sep='|')
";

fn python(code: &str, words: &[&str]) -> String {
    let output = Command::new("python3").arg("-c").arg(code).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The entries of an archive, in order. Its checksums are right.
pub fn entries(path: &Path) -> Vec<Entry> {
    let text = python(READ, &[path.to_str().unwrap()]);
    let unhex = |hex: &str| -> Vec<u8> {
        let pair = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(pair).collect()
    };
    let entry = |line: &str| {
        let parts: Vec<&str> = line.split('|').collect();
        let [name, stored, time, extra, bytes] = parts.as_slice() else { panic!("{line}") };
        let (name, time, extra) = (name.to_string(), time.to_string(), extra.to_string());
        Entry { name, stored: *stored == "1", time, extra, bytes: unhex(bytes) }
    };
    text.lines().map(entry).collect()
}

/// The bytes of its entries by name.
pub fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    entries(path).into_iter().map(|entry| (entry.name, entry.bytes)).collect()
}

/// Unpacks it.
pub fn unzip(path: &Path, to: &Path) {
    let code = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
    python(code, &[path.to_str().unwrap(), to.to_str().unwrap()]);
}

/// An entry that is written as it is said, whatever that is.
#[derive(Clone, Debug)]
pub struct Forged {
    pub name: Vec<u8>,
    /// The name at its own place.
    pub local: Vec<u8>,
    pub bytes: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub size: u32,
    pub packed: u32,
    pub crc: u32,
    /// What the directory says of its kind, in the upper half.
    pub mode: u32,
    pub extra: Vec<u8>,
    /// Where the directory says that it is, if not where it is.
    pub at: Option<u32>,
}

impl Forged {
    /// One with nothing wrong, that is not packed.
    pub fn stored(name: &str, bytes: &[u8]) -> Self {
        let size = bytes.len() as u32;
        let crc = flate2::Crc::new();
        let crc = [bytes].iter().fold(crc, |mut crc, bytes| {
            crc.update(bytes);
            crc
        });
        Forged {
            name: name.into(),
            local: name.into(),
            bytes: bytes.to_vec(),
            method: 0,
            flags: 0,
            size,
            packed: size,
            crc: crc.sum(),
            mode: 0o100_644,
            extra: Vec::new(),
            at: None,
        }
    }

    /// The same, packed.
    pub fn deflated(name: &str, bytes: &[u8]) -> Self {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        let packed = encoder.finish().unwrap();
        Forged { method: 8, packed: packed.len() as u32, bytes: packed, ..Forged::stored(name, bytes) }
    }
}

/// The bytes of an archive of these entries.
pub fn forge(entries: &[Forged]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let at = entry.at.unwrap_or(out.len() as u32);
        let common = |name: &[u8], extra: &[u8]| {
            let mut head = Vec::new();
            [20, entry.flags, entry.method, 0, 33].iter().for_each(|n: &u16| head.extend(n.to_le_bytes()));
            [entry.crc, entry.packed, entry.size].iter().for_each(|n| head.extend(n.to_le_bytes()));
            [name.len() as u16, extra.len() as u16].iter().for_each(|n| head.extend(n.to_le_bytes()));
            head
        };
        out.extend(b"PK\x03\x04");
        out.extend(common(&entry.local, &[]));
        out.extend(&entry.local);
        out.extend(&entry.bytes);
        directory.extend(b"PK\x01\x02");
        // Made on Unix.
        directory.extend(0x0314_u16.to_le_bytes());
        directory.extend(common(&entry.name, &entry.extra));
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(&entry.name);
        directory.extend(&entry.extra);
    }
    let (begin, size, number) = (out.len() as u32, directory.len() as u32, entries.len() as u16);
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    [number, number].iter().for_each(|n| out.extend(n.to_le_bytes()));
    [size, begin].iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend([0, 0]);
    out
}
