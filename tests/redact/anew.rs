//! What stands in a file beside its values, and describes them, is of the redacted values: dictionaries, statistics, page indexes and
//! bloom filters are those of a file that was made of nothing but the redacted rows. No original can be in them.

use std::path::Path;

use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy};
use vmtrace::schema::reader::Capture;

use super::made::{self, Place};

/// Of each column in each row group: its name, its bytes, its statistics, its bloom filter, and its page index.
type Described = Vec<(String, Vec<u8>, String, Vec<u8>, String)>;

fn part(file: &[u8], begin: i64, length: i64) -> Vec<u8> {
    let begin = usize::try_from(begin).unwrap();
    file[begin..begin + usize::try_from(length).unwrap()].to_vec()
}

fn filter(file: &[u8], column: &ColumnChunkMetaData) -> Vec<u8> {
    let place = column.bloom_filter_offset().zip(column.bloom_filter_length());
    place.map(|(at, length)| part(file, at, length.into())).unwrap_or_default()
}

fn described(path: &Path) -> Described {
    let file = std::fs::read(path).unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(&std::fs::File::open(path).unwrap(), options).unwrap();
    let metadata = metadata.metadata();
    let mut all = Vec::new();
    for (index, group) in metadata.row_groups().iter().enumerate() {
        for (leaf, column) in group.columns().iter().enumerate() {
            let (begin, length) = column.byte_range();
            let pages = metadata.column_index().map(|index_of| format!("{:?}", index_of[index][leaf]));
            all.push((
                column.column_path().string(),
                part(&file, begin.try_into().unwrap(), length.try_into().unwrap()),
                format!("{:?}", column.statistics()),
                filter(&file, column),
                pages.unwrap_or_default(),
            ));
        }
    }
    assert!(!all.is_empty(), "{}", path.display());
    all
}

/// What differs between the descriptions of the columns that two captures of one row group have.
fn differences(one: &Described, other: &Described) -> Vec<String> {
    let mut found = Vec::new();
    for one in one {
        // A sample has no columns that were added later.
        let Some(other) = other.iter().find(|other| other.0 == one.0) else { continue };
        let parts = [
            ("values and dictionary", one.1 != other.1),
            ("statistics", one.2 != other.2),
            ("bloom filter", one.3 != other.3),
            ("page index", one.4 != other.4),
        ];
        found.extend(parts.iter().filter(|(_, differs)| *differs).map(|(what, _)| format!("{}: {what}", one.0)));
    }
    found
}

/// A capture that is made of the rows of another, as if there had never been others.
fn anew(place: &Place, of: &Path) -> std::path::PathBuf {
    let path = place.path("anew.parquet");
    let capture = Capture::open(of).unwrap();
    assert_eq!(capture.row_group_count(), 1, "samples are small");
    made::write(&path, capture.manifest(), |builder| made::each(of, |event| builder.push(event)));
    path
}

#[test]
fn what_describes_the_values_is_made_of_the_redacted_ones_alone() {
    let place = Place::new();
    let mut filters = 0;
    for sample in made::samples() {
        for level in ["payload", "share", "metadata"] {
            let out = place.redact(&sample, "out.parquet", &["--level", level, "--force"]);
            let (found, wanted) = (described(&out), described(&anew(&place, &out)));
            assert_eq!(found.len(), wanted.len());
            let differences = differences(&found, &wanted);
            assert!(differences.is_empty(), "{} at the level {level}: {differences:?}", sample.display());
            filters += found.iter().filter(|column| !column.3.is_empty()).count();
        }
    }
    assert!(filters > 100, "only {filters} bloom filters were compared");
}

#[test]
fn what_still_described_the_original_would_be_found() {
    let place = Place::new();
    let sample = made::root().join("samples/mem-editor/mem-editor.parquet");
    let out = place.redact(&sample, "out.parquet", &["--level", "metadata"]);
    let found = differences(&described(&sample), &described(&anew(&place, &out)));
    for wanted in ["pid: values and dictionary", "pid: statistics", "pid: bloom filter", "comm: values and dictionary"]
    {
        assert!(found.iter().any(|difference| difference == wanted), "{wanted}: {found:?}");
    }
}
