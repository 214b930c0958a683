use std::sync::Arc;

use parquet::basic::ZstdLevel;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::SchemaDescriptor;

use super::*;

fn chunk(column: &str, values: i64, unpacked: i64, compression: Compression) -> ColumnChunkMetaData {
    let text = format!("message m {{ {column} }}");
    let schema = SchemaDescriptor::new(Arc::new(parse_message_type(&text).unwrap()));
    let builder = ColumnChunkMetaData::builder(schema.column(0)).set_num_values(values);
    builder.set_total_uncompressed_size(unpacked).set_compression(compression).build().unwrap()
}

fn numbers(values: i64, unpacked: i64) -> ColumnChunkMetaData {
    chunk("required int32 n;", values, unpacked, Compression::ZSTD(ZstdLevel::default()))
}

/// A data page of two values: type 0, sizes, and a struct with values, encodings and statistics.
fn page(unpacked: u8, packed: u8) -> Vec<u8> {
    let sizes = [0x15, 0, 0x15, unpacked << 1, 0x15, packed << 1];
    let inner = [0x2c, 0x15, 4, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18, 1, 7, 0, 0];
    let body = vec![9; usize::from(packed)];
    [&sizes[..], &inner, &[0], &body].concat()
}

fn check(chunk: &ColumnChunkMetaData, index: Option<&[PageLocation]>, bytes: &[u8]) -> Result<(), String> {
    let rows = chunk.num_values() as u64;
    Check::new(chunk, rows, index, Limits::default()).all(bytes, 100).map_err(|error| format!("{error:#}"))
}

#[test]
fn honest_pages_pass() {
    let pages = [page(40, 7), page(20, 3)].concat();
    assert_eq!(check(&numbers(4, 60), None, &pages), Ok(()));
    assert_eq!(check(&numbers(4, 60), None, &[]), Ok(()));
    let location = |offset, length: usize, first_row_index| PageLocation {
        offset,
        compressed_page_size: length as i32,
        first_row_index,
    };
    let (first, second) = (page(40, 7).len(), page(20, 3).len());
    let right = [location(100, first, 0), location(100 + first as i64, second, 2)];
    assert_eq!(check(&numbers(4, 60), Some(&right), &pages), Ok(()));
    assert_eq!(check(&numbers(4, 60), Some(&right), &pages[..first]), Ok(()), "some of them");
    for wrong in [
        vec![right[0].clone()],
        vec![location(100, first - 1, 0), right[1].clone()],
        vec![right[0].clone(), location(101 + first as i64, second, 2)],
        vec![right[0].clone(), location(100 + first as i64, second, 3)],
        vec![right[0].clone(), location(110, 3, 1), right[1].clone()],
    ] {
        assert!(check(&numbers(4, 60), Some(&wrong), &pages).is_err(), "{wrong:?}");
    }
}

#[test]
fn pages_that_claim_too_much_are_refused() {
    let pages = [page(40, 7), page(21, 3)].concat();
    let said = "pages of 61 bytes uncompressed, where the footer says 60";
    assert_eq!(check(&numbers(4, 60), None, &pages).unwrap_err(), said);
    let said = "pages of 4 values, where the footer says 3";
    assert_eq!(check(&numbers(3, 90), None, &pages).unwrap_err(), said);
    let plain = chunk("required int32 n;", 4, 90, Compression::UNCOMPRESSED);
    assert_eq!(check(&plain, None, &pages).unwrap_err(), "a page of two sizes that is not compressed");
}

#[test]
fn damaged_headers_are_refused() {
    let pages = page(40, 7);
    for cut in 1..pages.len() {
        assert!(check(&numbers(2, 100), None, &pages[..cut]).is_err(), "cut at {cut}");
    }
    for bytes in [
        &[0x15, 0, 0x15, 1, 0x15, 2, 0][..],
        &[vec![0x1c; 64], vec![0; 65]].concat(),
        &[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ] {
        assert!(check(&numbers(2, 100), None, bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn ranges_of_a_row_are_counted() {
    // Runs: one row of 5; packed: rows of 2, 1, 1, and 4 that goes on.
    let levels = [2, 0, 8, 1, 3, 0b1110_0010];
    assert_eq!(ranges(&levels, 13, 0).unwrap().0, 4);
    assert_eq!(ranges(&[6, 1], 3, 4).unwrap(), (7, 7), "of a row of the page before");
    let long = |count: u64| [vec![2, 0], vec![(count << 1) as u8 | 0x80, (count >> 6) as u8, 1]].concat();
    assert_eq!(ranges(&long(1023), 1024, 0).unwrap(), (1024, 1024));
    assert!(ranges(&long(1024), 1025, 0).unwrap_err().to_string().contains("a row of 1025 ranges"));
    for (levels, values) in [(&[][..], 1), (&[2], 1), (&[0, 0], 1), (&[1], 1), (&[3], 8), (&[2, 2], 1)] {
        assert!(ranges(levels, values, 0).is_err(), "{levels:?}");
    }
}
