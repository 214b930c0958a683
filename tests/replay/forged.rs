//! Captures that lie: footers, page indexes and pages that claim what no capture has. Made of honest ones.

use std::io::Write;
use std::path::Path;

use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{
    FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader, ParquetMetaDataWriter,
};

/// Encodings and page types (parquet.thrift).
pub const PLAIN: u8 = 0;
pub const DICTIONARY: u8 = 8;
const DELTA_LENGTH: u8 = 6;

/// Bytes of memory that a command which reads captures may take.
pub const MEMORY: u64 = 512 << 20;

/// Largest resident set of any process that this one has waited for, in bytes.
pub fn peak_of_children() -> u64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
    usage.max_rss() as u64 * 1024
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A number as a field of a struct, one id further than the field before.
fn int(value: u64) -> Vec<u8> {
    [vec![0x15], varint(value << 1)].concat()
}

/// A run of `count` levels or indices, of at most a byte each.
fn run(value: u8, count: u64) -> Vec<u8> {
    [varint(count << 1), vec![value]].concat()
}

/// Levels as they stand in a page.
fn levels(runs: &[Vec<u8>]) -> Vec<u8> {
    let runs = runs.concat();
    [&(runs.len() as u32).to_le_bytes()[..], &runs].concat()
}

/// What is packed in pages, as parts that repeat: it may be more than memory should hold.
pub type Content<'a> = &'a [(&'a [u8], u64)];

fn packed(content: Content<'_>) -> (Vec<u8>, u64) {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    let mut length = 0;
    for (part, times) in content {
        (0..*times).for_each(|_| encoder.write_all(part).unwrap());
        length += part.len() as u64 * times;
    }
    (encoder.finish().unwrap(), length)
}

/// Pages of a column chunk.
#[derive(Default)]
pub struct Pages {
    bytes: Vec<u8>,
    unpacked: u64,
    values: u64,
    dictionary: u64,
}

impl Pages {
    /// Adds a dictionary.
    pub fn dictionary(mut self, values: u64, content: Content<'_>) -> Self {
        self.add(2, &[vec![0x4c], int(values), int(0), vec![0]].concat(), content);
        self.dictionary = self.bytes.len() as u64;
        self
    }

    /// Adds a data page.
    pub fn data(mut self, values: u64, encoding: u8, content: Content<'_>) -> Self {
        let header = [vec![0x2c], int(values), int(encoding.into()), int(3), int(3), vec![0]].concat();
        self.add(0, &header, content);
        self.values += values;
        self
    }

    /// Makes the footer claim another size.
    pub fn claiming(mut self, unpacked: u64) -> Self {
        self.unpacked = unpacked;
        self
    }

    fn add(&mut self, kind: u64, header: &[u8], content: Content<'_>) {
        let (packed, length) = packed(content);
        self.bytes.extend([int(kind), int(length), int(packed.len() as u64), header.to_vec(), vec![0]].concat());
        self.bytes.extend(packed);
        self.unpacked += length;
    }
}

fn metadata(path: &Path) -> ParquetMetaData {
    ParquetMetaDataReader::new().parse_and_finish(&std::fs::File::open(path).unwrap()).unwrap()
}

/// Length of the footer that `bytes` end with.
fn footer(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize
}

/// Gives leaves of the capture's first row group other pages. It has no page index then, and no digests: nothing says that
/// it was altered.
pub fn with_pages(path: &Path, leaves: Vec<(&str, Pages)>) {
    let metadata = metadata(path);
    let mut bytes = std::fs::read(path).unwrap();
    let file = metadata.file_metadata();
    let mut pairs = file.key_value_metadata().cloned().unwrap();
    pairs.retain(|pair| !["vmtrace.chain", "vmtrace.seal"].contains(&pair.key.as_str()));
    let schema = file.schema_descr_ptr();
    let file = FileMetaData::new(file.version(), file.num_rows(), None, Some(pairs), schema, None);
    let mut groups = metadata.into_builder().take_row_groups();
    let mut group = groups.remove(0).into_builder();
    let mut chunks = group.take_columns();
    bytes.truncate(bytes.len() - 8 - footer(&bytes));
    for (leaf, pages) in leaves {
        let chunk = chunks.iter_mut().find(|chunk| chunk.column_path().string() == leaf).unwrap();
        let at = bytes.len() as i64;
        *chunk = chunk
            .clone()
            .into_builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
            .set_dictionary_page_offset((pages.dictionary > 0).then_some(at))
            .set_data_page_offset(at + pages.dictionary as i64)
            .set_total_compressed_size(pages.bytes.len() as i64)
            .set_total_uncompressed_size(pages.unpacked as i64)
            .set_num_values(pages.values as i64)
            .build()
            .unwrap();
        bytes.extend(pages.bytes);
    }
    let chunks = chunks.into_iter().map(|chunk| {
        let builder = chunk.into_builder().set_offset_index_offset(None).set_offset_index_length(None);
        builder.set_column_index_offset(None).set_column_index_length(None).build().unwrap()
    });
    groups.insert(0, group.set_column_metadata(chunks.collect()).build().unwrap());
    let metadata = ParquetMetaDataBuilder::new(file).set_row_groups(groups).build();
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Has the first offset index claim `pages` pages.
pub fn with_offset_index_of(path: &Path, pages: u64) {
    let metadata = metadata(path);
    let chunk = metadata.row_group(0).column(0);
    let at = chunk.offset_index_offset().unwrap() as usize;
    let mut bytes = std::fs::read(path).unwrap();
    let list = [vec![0x19, 0xfc], varint(pages)].concat();
    bytes[at..at + list.len()].copy_from_slice(&list);
    std::fs::write(path, bytes).unwrap();
}

/// Has the root of the schema claim `children` children.
pub fn with_children(path: &Path, children: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    let start = bytes.len() - 8 - footer(&bytes);
    let mut footer = bytes.split_off(start);
    let tail = footer.len() - 8;
    footer.truncate(tail);
    let root = b"arrow_schema";
    let at = footer.windows(root.len()).position(|window| window == root).unwrap() + root.len();
    assert_eq!(footer[at], 0x15, "the number of children follows the name");
    let length = footer[at + 1..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    footer.splice(at + 1..at + 1 + length, varint(children << 1));
    bytes.extend(&footer);
    bytes.extend((footer.len() as u32).to_le_bytes());
    bytes.extend(b"PAR1");
    std::fs::write(path, bytes).unwrap();
}

/// Payloads: one value of `length` bytes, alone in its page, packed very small; of a capture of one row.
pub fn large_value(length: u64) -> Pages {
    let levels = levels(&[run(1, 1)]);
    let prefix = (length as u32).to_le_bytes();
    let zeros = vec![0; 1 << 20];
    Pages::default().data(1, PLAIN, &[(&levels, 1), (&prefix, 1), (&zeros, length >> 20)])
}

/// Values of a nullable column of text or bytes, `rows` of `length` bytes each in one page.
pub fn many_values(rows: u64, length: u32) -> Pages {
    let levels = levels(&[run(1, rows)]);
    let value = [&length.to_le_bytes()[..], &vec![b'x'; length as usize]].concat();
    Pages::default().data(rows, PLAIN, &[(&levels, 1), (&value, rows)])
}

/// Values of such a column: in each of `rows` the one of `length` bytes that the dictionary has.
pub fn repeated(rows: u64, length: u32) -> Pages {
    let value = [&length.to_le_bytes()[..], &vec![b'x'; length as usize]].concat();
    let content = [levels(&[run(1, rows)]), vec![1], run(0, rows)].concat();
    Pages::default().dictionary(1, &[(&value, 1)]).data(rows, DICTIONARY, &[(&content, 1)])
}

/// Addresses or lengths of ranges: `many` in the first row, one in each of the others, all the same.
pub fn ranges(many: u64, rows: u64) -> Pages {
    let count = many + rows - 1;
    let mut runs = vec![run(0, 1), run(1, many - 1), run(0, rows - 1)];
    runs.retain(|run| run[0] > 0);
    let repetition = levels(&runs);
    let content = [repetition, levels(&[run(2, count)]), vec![1], run(0, count)].concat();
    Pages::default().dictionary(1, &[(&64u64.to_le_bytes(), 1)]).data(count, DICTIONARY, &[(&content, 1)])
}

/// Payloads whose page claims `lengths` lengths and has one.
pub fn lengths(lengths: u64) -> Pages {
    let header = [varint(128), varint(4), varint(lengths), varint(0)].concat();
    let content = [levels(&[run(1, 1)]), header, vec![0; 64]].concat();
    Pages::default().data(1, DELTA_LENGTH, &[(&content, 1)])
}
