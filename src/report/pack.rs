//! Streams of bytes that grow within a limit, compressed (gzip), and how they stand in the page.

use std::io::Write;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Bytes of an element of the page before they are written as text: browsers give up on texts of 512 MiB and more.
const ELEMENT: usize = 3 << 20;

/// A limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The largest size of the page.
    Page,
    /// What a browser holds at a time, however large the page may be.
    Browser,
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Full::Page => "there is more than the page may have",
            Full::Browser => "there is more than a browser holds",
        })
    }
}

impl std::error::Error for Full {}

/// A stream while it grows.
#[derive(Debug)]
pub(super) struct Stream {
    encoder: GzEncoder<Vec<u8>>,
    unpacked: u64,
    most: u64,
}

impl Stream {
    /// One of `most` bytes before they are compressed: a browser must hold them.
    pub fn new(most: u64) -> Self {
        Stream { encoder: GzEncoder::new(Vec::new(), Compression::default()), unpacked: 0, most }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`Full`] where that is more than there may be.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.unpacked = self.unpacked.saturating_add(bytes.len() as u64);
        if self.unpacked > self.most {
            return Err(Full::Browser.into());
        }
        Ok(self.encoder.write_all(bytes)?)
    }

    /// Bytes in the page so far; some are held back by the encoder.
    pub fn in_page(&self) -> u64 {
        in_page(self.encoder.get_ref().len())
    }

    /// The end.
    ///
    /// # Errors
    /// None in memory.
    pub fn finish(self) -> Result<Packed> {
        Ok(Packed { bytes: self.encoder.finish()?, unpacked: self.unpacked })
    }
}

/// A stream that has ended.
#[derive(Debug)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    unpacked: u64,
}

impl Packed {
    /// Packs bytes that are there already.
    ///
    /// # Errors
    /// None in memory.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        let mut stream = Stream::new(u64::MAX);
        stream.write(bytes)?;
        stream.finish()
    }

    /// Bytes in the page.
    pub fn in_page(&self) -> u64 {
        in_page(self.bytes.len())
    }

    /// Writes the elements of the page that have the stream called `name`: blocks of base64, with their lengths.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, name: &str, out: &mut impl Write) -> std::io::Result<()> {
        for part in self.bytes.chunks(ELEMENT) {
            let head = format!(
                "<script type=\"application/octet-stream\" data-stream=\"{name}\" data-length=\"{}\" data-whole=\"{}\" \
                 data-unpacked=\"{}\">",
                part.len(),
                self.bytes.len(),
                self.unpacked
            );
            out.write_all(head.as_bytes())?;
            out.write_all(STANDARD.encode(part).as_bytes())?;
            out.write_all(b"</script>\n")?;
        }
        Ok(())
    }
}

/// What so many bytes take in the page, elements around them included.
fn in_page(bytes: usize) -> u64 {
    let elements = bytes.div_ceil(ELEMENT);
    (bytes.div_ceil(3) * 4 + elements * 160) as u64
}
