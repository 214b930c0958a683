//! Frames: a header, followed by its bytes.
//!
//! A frame is accepted only if its magic, the tag of its recording, its number and its checksum are right. A traced
//! program chooses payload bytes and can make them look like a frame. But it does not know the capture's id, from which
//! the tag is made.

/// Bytes of a header.
pub const HEADER: usize = 40;
/// Longest payload believed: the largest chunk with one record of the largest size behind it is far below.
pub const MAX_PAYLOAD: usize = 64 << 20;
const MAGIC: [u8; 4] = *b"VMTJ";

/// What a frame holds. Numbers are never given away twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// JSON of [`super::Begin`]: the first frame of every file.
    Begin = 1,
    /// Records as they left the rings, each padded to 8 bytes. The stamp is the instant up to which all rings have
    /// been emptied. Without records it says only that: no older one comes any more.
    Records = 2,
    /// JSON: processes that lived when recording began. The stamp is that instant.
    Living = 3,
    /// JSON: what the system answered when it was asked for a process or a cgroup.
    Answer = 4,
    /// JSON: from where the capture is not yet complete, and all state that reading on from there needs.
    Checkpoint = 5,
    /// JSON: the kernel's counters, and clocks.
    Counters = 6,
    /// JSON: a file ends at the instant named, and another begins. Records from before it may follow this frame.
    Cut = 7,
    /// JSON: the end of the recording.
    Finish = 8,
    /// Nothing: a file that is there before it is needed holds this frame until its first one takes its place, so
    /// that an empty file is a damaged one.
    Spare = 9,
}

impl FrameKind {
    fn of(number: u8) -> Option<Self> {
        use FrameKind::*;
        [Begin, Records, Living, Answer, Checkpoint, Counters, Cut, Finish, Spare]
            .into_iter()
            .find(|k| *k as u8 == number)
    }
}

/// A frame that was read.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it holds.
    pub kind: FrameKind,
    /// Its place among all frames, from 0; of a `Begin` frame that of the one behind it.
    pub number: u64,
    /// ns of CLOCK_MONOTONIC, with a meaning of its kind.
    pub stamp_ns: u64,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Of the frame.
    pub kind: FrameKind,
    /// Of the frame.
    pub number: u64,
    /// Of the frame.
    pub stamp_ns: u64,
    /// Bytes behind the header.
    pub len: usize,
    crc: u32,
}

/// The tag of a recording: 64 bits that only someone who knows the capture's id can compute.
pub fn tag(capture_id: &str) -> u64 {
    let digest = blake3::derive_key("vmtrace journal", capture_id.as_bytes());
    u64::from_le_bytes(digest.first_chunk().copied().unwrap_or_default())
}

/// The tag that a header states: to be believed once the id is known.
pub fn stated_tag(bytes: &[u8; HEADER]) -> u64 {
    bytes.get(8..16).and_then(|tag| tag.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Begins a frame: room for its header, behind which the payload is put.
pub fn begin() -> Vec<u8> {
    vec![0; HEADER]
}

/// Fills in the header of a frame that [`begin`] began and whose payload is complete.
pub fn seal(frame: &mut [u8], kind: FrameKind, tag: u64, number: u64, stamp_ns: u64) {
    let len = frame.len().saturating_sub(HEADER) as u32;
    let Some((header, payload)) = frame.split_first_chunk_mut::<HEADER>() else { return };
    let mut fields = [0; HEADER];
    fields[..4].copy_from_slice(&MAGIC);
    fields[4] = kind as u8;
    fields[8..16].copy_from_slice(&tag.to_le_bytes());
    fields[16..24].copy_from_slice(&number.to_le_bytes());
    fields[24..32].copy_from_slice(&stamp_ns.to_le_bytes());
    fields[32..36].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(&fields, payload);
    fields[36..].copy_from_slice(&crc.to_le_bytes());
    *header = fields;
}

/// Over the header without its last four bytes, and the payload.
fn checksum(header: &[u8; HEADER], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..HEADER - 4]);
    crc.update(payload);
    crc.finalize()
}

/// Reads a header of the recording `tag`; `None` if it is not one.
pub fn header(bytes: &[u8; HEADER], tag: u64) -> Option<Header> {
    let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let half = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let len = usize::try_from(half(32)?).ok()?;
    if !bytes.starts_with(&MAGIC) || word(8)? != tag || len > MAX_PAYLOAD {
        return None;
    }
    Some(Header { kind: FrameKind::of(bytes[4])?, number: word(16)?, stamp_ns: word(24)?, len, crc: half(36)? })
}

/// Whether `payload` is the one that the header was made for.
pub fn is_whole(bytes: &[u8; HEADER], header: &Header, payload: &[u8]) -> bool {
    payload.len() == header.len && checksum(bytes, payload) == header.crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = begin();
        frame.extend_from_slice(payload);
        seal(&mut frame, FrameKind::Records, tag("id"), 7, 99);
        frame
    }

    fn read(frame: &[u8], tag: u64) -> Option<Header> {
        let (head, payload) = frame.split_first_chunk::<HEADER>()?;
        header(head, tag).filter(|h| is_whole(head, h, payload))
    }

    #[test]
    fn a_frame_is_read_as_it_was_made() {
        let found = read(&frame(b"payload"), tag("id")).unwrap();
        assert_eq!((found.kind, found.number, found.stamp_ns, found.len), (FrameKind::Records, 7, 99, 7));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let good = frame(b"payload");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(read(&bad, tag("id")), None, "byte {at}");
        }
        assert_eq!(read(&good, tag("another id")), None);
        assert_eq!(read(&[0; HEADER], tag("id")), None, "zeros are no frame");
        assert_eq!(read(&good[..good.len() - 1], tag("id")), None, "cut");
    }
}
