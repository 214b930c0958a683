//! A capture, taken apart: frames, pages without compression, trees of thrift, JSON. Put together again, all that
//! a reader checks is right (offsets, sizes, CRCs, digests, chain, seal), except where an edit says otherwise. So what is
//! changed gets as far as it can.

use std::collections::BTreeMap;

use super::edit::Edit;
use super::parquet::{Index, Meta, Page, chunks};
use super::thrift::Node;

const MAGIC: &[u8; 4] = b"PAR1";
const FRAME: &[u8; 8] = b"VMTFRAM1";
/// Edits make nothing longer when they have made so many bytes more: what hurts is to be vmtrace, not what makes its input.
const MOST: usize = 128 << 20;

/// What can be changed; an edit's area is taken modulo what its target allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The tree of the footer.
    Footer,
    /// The trees of the column indexes and offset indexes.
    Index,
    /// The header of a page.
    PageHeader,
    /// What is in a page: levels and values.
    Page,
    /// The manifest in the footer.
    Manifest,
    /// The chain in the footer.
    Chain,
    /// The manifest at the begin.
    Begin,
    /// The head of a row group's frame.
    Head,
    /// The description behind a row group: its footer or one of its indexes.
    Description,
    /// The file is cut off.
    Cut,
    /// Bytes of the file, before the seal is worked out.
    Sealed,
    /// Bytes of the file, whatever becomes of the seal.
    Raw,
    /// Frames: left out, twice, swapped, of other lengths.
    Frames,
}

#[derive(Clone, Debug)]
struct Group {
    head: Vec<u8>,
    body: Vec<Part>,
    description: Option<Meta>,
    tail: Vec<u8>,
    /// Where the body was.
    at: usize,
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Page(Page),
}

/// A capture in parts.
#[derive(Clone, Debug)]
pub struct Form {
    id: String,
    begin: Vec<u8>,
    groups: Vec<Group>,
    footer: Meta,
    /// Bytes that edits have made of pages, beside those that were there.
    grown: usize,
}

/// The edits of each area.
struct Edits<'a>(Vec<(Area, &'a Edit)>);

impl<'a> Edits<'a> {
    fn of(&self, area: Area) -> impl Iterator<Item = &'a Edit> {
        self.0.iter().filter(move |(of, _)| *of == area).map(|(_, edit)| *edit)
    }
}

/// What has moved: where it began, and where it begins; bytes on the disk, and when unpacked.
type Moves = BTreeMap<usize, (usize, usize, usize)>;

impl Form {
    /// Takes a capture apart that vmtrace wrote.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut at = MAGIC.len();
        let begin = frame(bytes, at)?;
        at = begin.end;
        let id = serde_json::from_slice::<serde_json::Value>(begin.head).ok()?.get("capture_id")?.as_str()?.to_string();
        let footer = Meta::parse(bytes, 0)?;
        let mut groups = Vec::new();
        while let Some(found) = frame(bytes, at) {
            at = found.end;
            let start = found.body_at;
            let full = zstd::stream::decode_all(found.tail).ok()?;
            let body = bytes.get(start..start + found.body_len)?;
            let description = Meta::parse(&full, found.body_len)?;
            let parts = parts(body, &description)?;
            groups.push(Group {
                head: found.head.to_vec(),
                body: parts,
                description: Some(description),
                tail: found.tail.to_vec(),
                at: start,
            });
        }
        Some(Form { id, begin: begin.head.to_vec(), groups, footer, grown: 0 })
    }

    /// The capture with `edits` in it, each in the area that `areas` has for it.
    pub fn write(mut self, areas: &[Area], edits: &[Edit]) -> Vec<u8> {
        let area = |edit: &Edit| areas[usize::from(edit.area) % areas.len()];
        let edits = Edits(edits.iter().map(|edit| (area(edit), edit)).collect());
        edits.of(Area::Begin).for_each(|edit| edit.json(&mut self.begin));
        self.change_frames(&edits);
        let mut out = MAGIC.to_vec();
        put_frame(&mut out, &self.id, &self.begin, &[], &[]);
        let mut link = blake3::hash(&self.begin);
        let mut links = Vec::new();
        let mut moves = Moves::new();
        let mut sealed = vec![0..out.len()];
        for index in 0..self.groups.len() {
            let (body, local) = self.body(index, &edits);
            let begin_of_frame = out.len();
            let (head, link_now, clocks) = self.head(index, &body, &link, &edits);
            link = link_now;
            let tail = self.tail(index, &body, &local, &edits);
            put_frame(&mut out, &self.id, &head, &body, &tail);
            let at = out.len() - tail.len() - body.len();
            let was = self.groups[index].at;
            moves.extend(local.iter().map(|(old, (new, len, full))| (old + was, (new + at, *len, *full))));
            sealed.push(begin_of_frame..at);
            sealed.push(at + body.len()..out.len());
            links.push((at, body.len(), link, clocks));
        }
        let mut footer = std::mem::take(&mut self.footer);
        footer.move_to(&moves);
        for edit in edits.of(Area::Index) {
            footer.change_index(edit);
        }
        let begin_of_end = out.len();
        out.extend(footer.indexes(begin_of_end));
        footer.set_key("vmtrace.chain", |text| chain(text, &links));
        for edit in edits.of(Area::Chain) {
            footer.set_key("vmtrace.chain", |text| edit.json(text));
        }
        for edit in edits.of(Area::Manifest) {
            footer.set_key("vmtrace.manifest", |text| edit.json(text));
        }
        footer.set_key("vmtrace.seal", |text| *text = vec![b'0'; 64]);
        for edit in edits.of(Area::Footer) {
            edit.thrift(&mut footer.tree);
        }
        let bytes = footer.tree.encode();
        out.extend(&bytes);
        out.extend((bytes.len() as u32).to_le_bytes());
        out.extend(MAGIC);
        sealed.push(begin_of_end..out.len());
        for edit in edits.of(Area::Sealed) {
            if out.len() < MOST {
                edit.bytes(&mut out, edit.sub as usize);
            }
        }
        seal(&mut out, &sealed);
        for edit in edits.of(Area::Raw) {
            if out.len() < MOST {
                edit.bytes(&mut out, edit.sub as usize);
            }
        }
        for edit in edits.of(Area::Cut) {
            let len = if edit.op & 1 == 0 { begin_of_end.min(out.len()) } else { edit.within(out.len() + 1) };
            out.truncate(len);
        }
        out
    }

    fn change_frames(&mut self, edits: &Edits<'_>) {
        for edit in edits.of(Area::Frames) {
            if self.groups.is_empty() {
                return;
            }
            let (a, b) = (edit.place(self.groups.len()), edit.within(self.groups.len()));
            match edit.op % 4 {
                0 => drop(self.groups.remove(a)),
                1 if self.groups.len() < 64 => {
                    let group = self.groups[a].clone();
                    self.groups.insert(b, group);
                }
                2 => self.groups.swap(a, b),
                _ => self.groups[a].description = None,
            }
        }
    }

    /// The bytes of a row group, and what has moved in it.
    fn body(&mut self, index: usize, edits: &Edits<'_>) -> (Vec<u8>, Moves) {
        let (group, grown) = (&mut self.groups[index], &mut self.grown);
        let mut pages: Vec<&mut Page> = group
            .body
            .iter_mut()
            .filter_map(|part| match part {
                Part::Page(page) => Some(page),
                Part::Bytes(_) => None,
            })
            .collect();
        let count = pages.len().max(1);
        // Pages are counted through all groups; with one group, as in most, that is the same.
        for edit in edits.of(Area::Page) {
            if let Some(page) = pages.get_mut(edit.place(count)).filter(|_| *grown < MOST) {
                let before = page.content.len();
                edit.bytes(&mut page.content, edit.sub as usize);
                *grown += page.content.len().saturating_sub(before);
                page.changed = true;
            }
        }
        let lies: Vec<(usize, &Edit)> = edits.of(Area::PageHeader).map(|edit| (edit.place(count), edit)).collect();
        let (mut bytes, mut moves, mut number, mut was) = (Vec::new(), Moves::new(), 0, 0);
        for part in &mut group.body {
            match part {
                Part::Bytes(part) => {
                    moves.insert(was, (bytes.len(), 0, 0));
                    was += part.len();
                    bytes.extend(&*part);
                }
                Part::Page(page) => {
                    let begin = bytes.len();
                    let mine = lies.iter().filter(|(place, _)| *place == number).map(|(_, edit)| *edit);
                    let full = page.put(&mut bytes, mine);
                    moves.insert(page.at, (begin, bytes.len() - begin, full));
                    number += 1;
                    was = page.end;
                }
            }
        }
        (bytes, moves)
    }

    /// The head of a row group's frame, its link, and what the chain says of it besides.
    fn head(
        &self,
        index: usize,
        body: &[u8],
        link: &blake3::Hash,
        edits: &Edits<'_>,
    ) -> (Vec<u8>, blake3::Hash, serde_json::Value) {
        let mut text = self.groups[index].head.clone();
        for edit in edits.of(Area::Head).filter(|edit| edit.place(self.groups.len()) == index) {
            edit.json(&mut text);
        }
        let Ok(mut head) = serde_json::from_slice::<serde_json::Value>(&text) else {
            return (text, *link, serde_json::Value::Null);
        };
        let rows = head.get("rows").cloned().unwrap_or_default();
        let clocks = head.get("clocks").cloned().unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        hasher.update(link.as_bytes());
        hasher.update(blake3::hash(body).as_bytes());
        hasher.update(&rows.as_u64().unwrap_or_default().to_le_bytes());
        for clock in ["realtime_ns", "monotonic_ns", "boottime_ns", "uncertainty_ns"] {
            let number = clocks.get(clock);
            let number = number.and_then(|n| n.as_i64().or(n.as_u64().map(u64::cast_signed)));
            hasher.update(&number.unwrap_or_default().to_le_bytes());
        }
        let link = hasher.finalize();
        if let Some(stated) = head.get_mut("link").filter(|link| link.is_string()) {
            *stated = link.to_string().into();
        }
        let said = serde_json::json!({ "rows": rows, "clocks": clocks });
        (serde_json::to_vec(&head).unwrap_or(text), link, said)
    }

    /// What is behind a row group.
    fn tail(&mut self, index: usize, body: &[u8], moves: &Moves, edits: &Edits<'_>) -> Vec<u8> {
        let count = self.groups.len();
        let group = &mut self.groups[index];
        let Some(meta) = &mut group.description else { return group.tail.clone() };
        meta.move_to(moves);
        let mine: Vec<&Edit> = edits.of(Area::Description).filter(|edit| edit.place(count) == index).collect();
        for edit in mine.iter().filter(|edit| edit.op & 0x80 != 0) {
            meta.change_index(edit);
        }
        let mut full = meta.indexes(body.len());
        for edit in mine.iter().filter(|edit| edit.op & 0x80 == 0) {
            edit.thrift(&mut meta.tree);
        }
        let footer = meta.tree.encode();
        full.extend(&footer);
        full.extend((footer.len() as u32).to_le_bytes());
        full.extend(MAGIC);
        zstd::bulk::compress(&full, 1).unwrap_or_default()
    }
}

/// A row group's bytes, as pages and what is between them.
fn parts(body: &[u8], description: &Meta) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut at = 0;
    for chunk in chunks(&description.tree) {
        parts.push(Part::Bytes(body.get(at..chunk.at)?.to_vec()));
        at = chunk.at;
        while at < chunk.at + chunk.len {
            let page = Page::parse(body, at, chunk.codec)?;
            at = page.end;
            parts.push(Part::Page(page));
        }
    }
    parts.push(Part::Bytes(body.get(at..)?.to_vec()));
    Some(parts)
}

struct Frame<'a> {
    head: &'a [u8],
    body_at: usize,
    body_len: usize,
    tail: &'a [u8],
    end: usize,
}

fn frame(bytes: &[u8], at: usize) -> Option<Frame<'_>> {
    let rest = bytes.get(at..)?.strip_prefix(FRAME)?;
    let (head_len, rest) = rest.split_first_chunk::<4>()?;
    let (body_len, rest) = rest.split_first_chunk::<8>()?;
    let (tail_len, rest) = rest.split_first_chunk::<4>()?;
    let rest = rest.get(32..)?;
    let (head, rest) = rest.split_at_checked(u32::from_le_bytes(*head_len) as usize)?;
    let body_len = usize::try_from(u64::from_le_bytes(*body_len)).ok()?;
    let body_at = bytes.len() - rest.len();
    let tail = rest.get(body_len..body_len + u32::from_le_bytes(*tail_len) as usize)?;
    Some(Frame { head, body_at, body_len, tail, end: body_at + body_len + tail.len() })
}

fn put_frame(out: &mut Vec<u8>, id: &str, head: &[u8], body: &[u8], tail: &[u8]) {
    let mut prefix = FRAME.to_vec();
    prefix.extend((head.len() as u32).to_le_bytes());
    prefix.extend((body.len() as u64).to_le_bytes());
    prefix.extend((tail.len() as u32).to_le_bytes());
    let mut hasher = blake3::Hasher::new();
    for part in [id.as_bytes(), b"\n", &prefix, head, tail] {
        hasher.update(part);
    }
    out.extend(&prefix);
    out.extend(hasher.finalize().as_bytes());
    out.extend(head);
    out.extend(body);
    out.extend(tail);
}

/// The chain of the row groups as they are.
fn chain(text: &mut Vec<u8>, links: &[(usize, usize, blake3::Hash, serde_json::Value)]) {
    let Ok(mut chain) = serde_json::from_slice::<serde_json::Value>(text) else { return };
    let groups = links.iter().map(|(at, len, link, said)| {
        serde_json::json!({
            "at": at, "len": len, "link": link.to_string(), "rows": said.get("rows"), "clocks": said.get("clocks"),
        })
    });
    chain["groups"] = groups.collect();
    if let Ok(changed) = serde_json::to_vec(&chain) {
        *text = changed;
    }
}

/// Puts the root digest in its place.
fn seal(out: &mut [u8], sealed: &[std::ops::Range<usize>]) {
    let mut hasher = blake3::Hasher::new();
    for range in sealed {
        hasher.update(out.get(range.clone()).unwrap_or_default());
    }
    let root = hasher.finalize().to_hex();
    let zeros = [b'0'; 64];
    let last = sealed.last().map_or(0, |range| range.start).min(out.len());
    if let Some(at) = out[last..].windows(64).rposition(|window| window == zeros) {
        out[last + at..last + at + 64].copy_from_slice(root.as_bytes());
    }
}

/// For those who change one tree of several.
pub fn change(index: &mut Index, edit: &Edit) {
    let tree: &mut Node = &mut index.tree;
    edit.thrift(tree);
}
