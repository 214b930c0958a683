//! Captures whose footer says something else, and is a footer still.

use std::path::Path;

use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader, ParquetMetaDataWriter,
    RowGroupMetaData,
};

/// Gives the capture another manifest, and other row groups. It has no digests and no page index then.
pub fn with_footer(
    path: &Path,
    manifest: impl FnOnce(String) -> String,
    change: impl FnMut(RowGroupMetaData) -> RowGroupMetaData,
) {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&std::fs::File::open(path).unwrap()).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    bytes.truncate(bytes.len() - 8 - length);
    let file = metadata.file_metadata();
    let mut pairs = file.key_value_metadata().cloned().unwrap();
    pairs.retain(|pair| !["vmtrace.chain", "vmtrace.seal"].contains(&pair.key.as_str()));
    let pair = pairs.iter_mut().find(|pair| pair.key == "vmtrace.manifest").unwrap();
    pair.value = pair.value.take().map(manifest);
    let without_index = |chunk: &ColumnChunkMetaData| {
        let builder = chunk.clone().into_builder().set_offset_index_offset(None).set_offset_index_length(None);
        builder.set_column_index_offset(None).set_column_index_length(None).build().unwrap()
    };
    let schema = file.schema_descr_ptr();
    let version = file.version();
    let groups = metadata.into_builder().take_row_groups().into_iter().map(|group| {
        let chunks = group.columns().iter().map(without_index).collect();
        group.into_builder().set_column_metadata(chunks).build().unwrap()
    });
    let groups: Vec<_> = groups.map(change).collect();
    let rows = groups.iter().map(RowGroupMetaData::num_rows).sum();
    let file = FileMetaData::new(version, rows, None, Some(pairs), schema, None);
    let metadata = ParquetMetaDataBuilder::new(file).set_row_groups(groups).build();
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The same, of the manifest alone.
pub fn with_manifest(path: &Path, manifest: impl FnOnce(String) -> String) {
    with_footer(path, manifest, |group| group);
}

/// Has the row groups claim `rows` rows.
pub fn with_rows(path: &Path, rows: i64) {
    with_footer(
        path,
        |manifest| manifest,
        |group| {
            let values = |chunk: &ColumnChunkMetaData| {
                let is_flat = chunk.column_descr().max_rep_level() == 0;
                let values = if is_flat { rows } else { chunk.num_values() };
                chunk.clone().into_builder().set_num_values(values).build().unwrap()
            };
            let chunks = group.columns().iter().map(values).collect();
            group.into_builder().set_num_rows(rows).set_column_metadata(chunks).build().unwrap()
        },
    );
}

/// Has the row group claim that it takes `bytes`, uncompressed.
pub fn with_content(path: &Path, bytes: i64) {
    with_footer(
        path,
        |manifest| manifest,
        |group| {
            let others: i64 = group.columns().iter().skip(1).map(ColumnChunkMetaData::uncompressed_size).sum();
            let mut chunks = group.columns().to_vec();
            let first = chunks.remove(0).into_builder().set_total_uncompressed_size(bytes - others).build().unwrap();
            chunks.insert(0, first);
            group.into_builder().set_column_metadata(chunks).build().unwrap()
        },
    );
}
