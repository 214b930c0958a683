//! Lengths of the values in a page of text or bytes, found without decoding the values.
//!
//! Owns two encodings (parquet-format, Encodings.md): PLAIN and DELTA_LENGTH_BYTE_ARRAY.

/// The longest value among `bytes`, each with its length in front (PLAIN), and how many there are. What is cut off at the
/// end is no value: the library finds that.
pub(super) fn of_plain(mut bytes: &[u8]) -> (u64, u64) {
    let (mut longest, mut count) = (0, 0);
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = u32::from_le_bytes(*length);
        let Some(rest) = rest.get(length as usize..) else { break };
        (longest, count, bytes) = (u64::from(length).max(longest), count + 1, rest);
    }
    (longest, count)
}

/// How many lengths `bytes` claim to begin with (DELTA_BINARY_PACKED); `None` where they make no sense.
pub(super) fn claimed_of_delta(bytes: &[u8]) -> Option<u64> {
    Header::read(&mut Bytes { bytes, at: 0 }).map(|header| header.count)
}

/// The longest value among `bytes`, which begin with their lengths (DELTA_BINARY_PACKED): at most `most` are looked at.
pub(super) fn longest_of_delta(bytes: &[u8], most: u64) -> Option<u64> {
    let mut input = Bytes { bytes, at: 0 };
    let header = Header::read(&mut input)?;
    if header.count > most {
        return None;
    }
    let mut left = header.count.checked_sub(1)?;
    let mut length = header.first as i32;
    let mut longest = length;
    let each = header.block / header.parts;
    while left > 0 {
        let step = input.signed()? as i32;
        let widths = input.take(header.parts)?;
        for width in widths.iter().map(|width| u64::from(*width)) {
            if left == 0 {
                break;
            }
            // The last part may be cut off behind its last value.
            let used = left.min(each);
            let packed = input.take((used.checked_mul(width)?).div_ceil(8))?;
            for index in 0..used {
                length = length.wrapping_add(step).wrapping_add(bits(packed, index * width, width)? as i32);
                longest = longest.max(length);
            }
            left -= used;
            if left > 0 {
                input.take((each - used) * width / 8)?;
            }
        }
    }
    u64::try_from(longest).ok()
}

/// `width` bits from number `at` on, the lowest first.
fn bits(bytes: &[u8], at: u64, width: u64) -> Option<u64> {
    if width > 32 {
        return None;
    }
    let start = usize::try_from(at / 8).ok()?;
    let part = bytes.iter().skip(start).take(5).enumerate();
    let word = part.fold(0u64, |word, (index, byte)| word | u64::from(*byte) << (8 * index));
    Some(word >> (at % 8) & ((1 << width) - 1))
}

struct Header {
    /// Values of a block.
    block: u64,
    /// Parts of a block, each with a width of its own.
    parts: u64,
    count: u64,
    first: i64,
}

impl Header {
    fn read(input: &mut Bytes<'_>) -> Option<Self> {
        let (block, parts, count) = (input.number()?, input.number()?, input.number()?);
        let sound = parts > 0 && block > 0 && block <= 1 << 24 && block % parts == 0 && (block / parts) % 32 == 0;
        sound.then_some(())?;
        Some(Header { block, parts, count, first: input.signed()? })
    }
}

struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let end = self.at.checked_add(usize::try_from(count).ok()?)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::{Compression, Encoding};
    use parquet::column::page::Page;
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// The one page in which the library writes values of these lengths.
    fn page(lengths: &[usize]) -> Vec<u8> {
        let schema = Arc::new(parse_message_type("message m { required binary b; }").unwrap());
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY)
            .set_compression(Compression::UNCOMPRESSED);
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = lengths.iter().map(|length| vec![b'x'; *length].into()).collect();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        let file = bytes::Bytes::from(writer.into_inner().unwrap());
        let reader = SerializedFileReader::new(file).unwrap();
        let group = reader.get_row_group(0).unwrap();
        let mut pages = group.get_column_page_reader(0).unwrap();
        match pages.get_next_page().unwrap().unwrap() {
            Page::DataPage { buf, .. } => buf.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_longest_value_is_found_as_the_library_wrote_it() {
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        for count in [1, 2, 31, 32, 33, 127, 128, 129, 130, 257, 1000] {
            for most in [1, 2, 70, 900] {
                let next = || {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (random >> 40) as usize % most
                };
                let lengths: Vec<usize> = std::iter::repeat_with(next).take(count).collect();
                let longest = lengths.iter().max().copied().unwrap() as u64;
                let page = page(&lengths);
                assert_eq!(longest_of_delta(&page, count as u64), Some(longest), "{count} below {most}");
                assert_eq!(claimed_of_delta(&page), Some(count as u64));
                assert_eq!(longest_of_delta(&page, count as u64 - 1), None, "more than there may be");
            }
        }
    }

    #[test]
    fn plain_values_have_their_lengths_in_front() {
        let bytes = [&[1, 0, 0, 0, 7, 3, 0, 0, 0, 7, 7, 7, 0, 0, 0, 0][..], &[9, 0, 0, 0, 1]].concat();
        assert_eq!(of_plain(&bytes), (3, 3), "the last is cut off");
        assert_eq!(of_plain(&[]), (0, 0));
    }

    #[test]
    fn damage_makes_no_sense() {
        for bytes in [&[][..], &[0x80], &[0, 4, 5, 0], &[0x80, 1, 0, 5, 0], &[0x80, 1, 3, 5, 0], &[0x80, 1, 4, 5, 2]] {
            assert_eq!(longest_of_delta(bytes, 100), None, "{bytes:?}");
        }
    }
}
