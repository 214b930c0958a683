//! Opens and checks captures. `super::scan` streams their events.
//!
//! Captures come from strangers. Nothing here trusts a number in the file: sizes are compared with the file and with
//! fixed limits before anything is allocated, and a panic inside the Parquet library is caught and reported as damage.

mod groups;

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
    RowGroupMetaData,
};
use parquet::file::statistics::Statistics;

use super::SCHEMA_VERSION;
use super::chain::{Chain, KEY_CHAIN, KEY_SEAL};
use super::claims::Claims;
use super::columns::column_spec;
use super::file::{Links, open_regular, read_at};
#[cfg(feature = "query")]
pub(crate) use super::guard::guard_thread;
pub(crate) use super::guard::guarded;
use super::hosts;
use super::layout::check_layout;
use super::limits::{Limits, MAX_FOOTER, is_modest};
use super::manifest::{self, KEY_MANIFEST, KEY_SCHEMA_VERSION, KEY_TABLE, Manifest};
use super::member;
use super::partial;
pub use super::scan::{Events, Scan};
use super::stdin;

/// An opened capture: its footer has been read and checked, its events not yet.
#[derive(Debug)]
pub struct Capture {
    path: PathBuf,
    file: File,
    size: u64,
    limits: Limits,
    own: Own,
    metadata: ArrowReaderMetadata,
}

/// Our own key-value metadata.
#[derive(Debug)]
struct Own {
    version: u32,
    manifest: Manifest,
    manifest_json: String,
    chain: Option<Chain>,
    seal: Option<String>,
}

impl Capture {
    /// Opens a capture and checks its footer.
    ///
    /// # Errors
    /// One sentence naming the file: missing, a directory, empty, cut off, not Parquet, not a capture, of a
    /// newer schema version, with a column of the wrong type, damaged, or larger than the limits.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_within(path, Limits::default())
    }

    /// As [`Capture::open`], within other limits. `-` is standard input.
    ///
    /// # Errors
    /// Those of [`Capture::open`].
    pub fn open_within(path: &Path, limits: Limits) -> Result<Self> {
        if path == Path::new(stdin::DASH) {
            let file = stdin::open().context(stdin::NAME)?;
            let size = file.metadata().context(stdin::NAME)?.len();
            return Self::fetched(Path::new(stdin::NAME), file, size, limits, &|_, _| Ok(()));
        }
        if let Some(file) = member::open(path) {
            let name = || format!("cannot open {}", path.display());
            let file = file.with_context(name)?;
            let size = file.metadata().with_context(name)?.len();
            return Self::fetched(path, file, size, limits, &|_, _| Ok(()));
        }
        let (file, size) = open_file(path)?;
        if is_unfinished(&file, size) {
            let name = path.display();
            bail!(
                "{name} has no Parquet footer: its recording did not finish, or it was cut off: make a capture of what is \
                 there with `vmtrace recover {name} -o FILE`"
            );
        }
        Self::fetched(path, file, size, limits, &|_, _| Ok(()))
    }

    /// Opens a capture of `size` bytes whose bytes are elsewhere: `file`, which is as long, is given those of each range
    /// by `fetch` before they are looked at. `path` is what it is called.
    ///
    /// # Errors
    /// Those of [`Capture::open`] and of `fetch`.
    pub fn fetched(path: &Path, file: File, size: u64, limits: Limits, fetch: &Fetch<'_>) -> Result<Self> {
        let name = || path.display().to_string();
        let footer = footer(&file, size, path, fetch)?;
        let most = limits.metadata(size);
        let claims = Claims::of(&footer, most).with_context(name)?;
        let metadata = guarded(|| ParquetMetaDataReader::decode_metadata(&footer).map_err(|e| anyhow!("{e}")));
        let metadata = metadata.with_context(|| format!("{}: the Parquet footer is damaged", name()))?;
        drop(footer);
        if let Some(range) = claims.indexes(size).with_context(name)? {
            fetch(&file, range)?;
        }
        claims.check_indexes(&file, size, most).with_context(name)?;
        let own = own_metadata(metadata.file_metadata()).with_context(name)?;
        let metadata = guarded(|| understood(metadata, &file));
        let metadata = metadata.with_context(|| format!("{}: the Parquet footer is damaged", name()))?;
        check_layout(&metadata, size, limits).with_context(name)?;
        Ok(Capture { path: path.to_path_buf(), file, size, limits, own, metadata })
    }

    /// The file's path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Schema version the file states.
    pub fn version(&self) -> u32 {
        self.own.version
    }

    /// The limits it was opened with.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The open file, for engines that read Parquet themselves.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The footer and page index, checked, for engines that read Parquet themselves.
    pub fn metadata(&self) -> &ArrowReaderMetadata {
        &self.metadata
    }

    /// What the capture says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.own.manifest
    }

    /// The same as in the file, including fields that this version does not know.
    pub fn manifest_json(&self) -> &str {
        &self.own.manifest_json
    }

    /// The digest chain over its row groups; `None` where it has none that can be read.
    pub fn chain(&self) -> Option<&Chain> {
        self.own.chain.as_ref()
    }

    /// The root digest as the file states it, unchecked: `vmtrace verify` checks it.
    pub fn root(&self) -> Option<&str> {
        self.own.seal.as_deref()
    }

    /// Rows the footer states.
    pub fn rows(&self) -> u64 {
        self.row_groups().iter().map(|g| u64::try_from(g.num_rows()).unwrap_or(0)).sum()
    }

    /// Number of row groups.
    pub fn row_group_count(&self) -> usize {
        self.row_groups().len()
    }

    /// Rows of a row group and the range of bytes that its columns take, as the footer states them.
    pub fn row_group(&self, index: usize) -> Option<(u64, Range<u64>)> {
        let group = self.row_groups().get(index)?;
        let ranges = || group.columns().iter().map(ColumnChunkMetaData::byte_range);
        let start = ranges().map(|(start, _)| start).min()?;
        let end = ranges().map(|(start, len)| start.saturating_add(len)).max()?;
        Some((u64::try_from(group.num_rows()).ok()?, start..end))
    }

    /// First and last `mono_ns`, from statistics alone; `None` where there is no row or no statistic.
    pub fn mono_span(&self) -> Option<(i64, i64)> {
        let index = self.leaf("mono_ns")?;
        let spans: Vec<_> = self.row_groups().iter().filter_map(|g| range(g, index)).collect();
        Some((spans.iter().map(|s| s.0).min()?, spans.iter().map(|s| s.1).max()?))
    }

    /// Bytes of captured payload, from the page index alone; `None` where that does not say.
    pub fn payload_bytes(&self) -> Option<u64> {
        let leaf = self.leaf("payload")?;
        let groups = self.metadata.metadata().offset_index()?;
        let mut sum = 0u64;
        for group in groups {
            for bytes in group.get(leaf)?.unencoded_byte_array_data_bytes()? {
                sum = sum.saturating_add(u64::try_from(*bytes).ok()?);
            }
        }
        Some(sum)
    }

    /// Streams the events of `scan` in file order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn scan(&self, scan: &Scan) -> Result<Events> {
        let file = self.file.try_clone().with_context(|| self.path.display().to_string())?;
        let groups = (0..self.row_groups().len()).filter(|i| self.may_match(*i, scan)).collect();
        Ok(Events::new(self.path.clone(), file, self.metadata.clone(), scan.clone(), groups, self.limits))
    }

    /// Checks the pages of the columns that are `wanted` in a row group, and whether they can be held together.
    ///
    /// # Errors
    /// What is wrong with them, without the file's name.
    pub fn check_group(&self, index: usize, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let events = self.scan(&Scan::default())?;
        guarded(|| events.check_group(index, wanted))
    }

    /// Decodes one column of a row group, for what is wrong with it.
    ///
    /// # Errors
    /// As [`Capture::check_group`].
    pub fn check_column(&self, group: usize, column: &str) -> Result<()> {
        let events = self.scan(&Scan::default())?;
        guarded(|| events.check_column(group, column))
    }

    fn row_groups(&self) -> &[RowGroupMetaData] {
        self.metadata.metadata().row_groups()
    }

    fn leaf(&self, column: &str) -> Option<usize> {
        let schema = self.metadata.parquet_schema();
        (0..schema.num_columns()).find(|i| schema.column(*i).path().string() == column)
    }

    /// Whether row group `index` may hold an event of `scan`, by its statistics. Without statistics: yes.
    fn may_match(&self, index: usize, scan: &Scan) -> bool {
        let Some(group) = self.row_groups().get(index) else { return false };
        let span = |name: &str| self.leaf(name).and_then(|leaf| range(group, leaf));
        let outside = |name: &str, since: Option<i64>, until: Option<i64>| {
            let Some((first, last)) = span(name) else { return false };
            until.is_some_and(|until| first > until) || since.is_some_and(|since| last < since)
        };
        if outside("mono_ns", scan.since_mono_ns, scan.until_mono_ns)
            || outside("ts_ns", scan.since_ts_ns, scan.until_ts_ns)
        {
            return false;
        }
        let holds = |span: Option<(i64, i64)>| match span {
            Some((low, high)) => scan.pids.iter().any(|p| (low..=high).contains(&i64::from(*p))),
            None => true,
        };
        scan.pids.is_empty() || holds(span("pid")) || holds(span("target_pid"))
    }
}

/// Puts the bytes of a range in their place in a file.
pub type Fetch<'a> = dyn Fn(&File, Range<u64>) -> Result<()> + 'a;

/// Opens `path` as a regular file.
fn open_file(path: &Path) -> Result<(File, u64)> {
    let name = path.display();
    // A FIFO or device must not make us wait: look before opening.
    let kind = std::fs::metadata(path).with_context(|| format!("cannot open {name}"))?;
    ensure!(!kind.is_dir(), "{name} is a directory; name a capture file in it");
    let file = open_regular(path, Links::Follow).with_context(|| format!("cannot open {name}"))?;
    let file = file.with_context(|| format!("{name} is not a regular file"))?;
    let size = file.metadata().with_context(|| format!("cannot open {name}"))?.len();
    Ok((file, size))
}

/// Whether `file` begins as a capture does, and does not end as one.
fn is_unfinished(file: &File, size: u64) -> bool {
    let mut tail = [0; 4];
    let end = size.checked_sub(4).is_some_and(|at| file.read_exact_at(&mut tail, at).is_ok() && tail == *b"PAR1");
    !end && partial::begin(file).is_ok()
}

/// The footer of `file`, which begins and ends like Parquet.
fn footer(file: &File, size: u64, path: &Path, fetch: &Fetch<'_>) -> Result<Vec<u8>> {
    let name = path.display();
    ensure!(size > 0, "{name} is empty: not a capture");
    fetch(file, 0..size.min(4))?;
    fetch(file, size.saturating_sub(8)..size)?;
    let mut magic = [0; 4];
    let read = file.read_exact_at(&mut magic, 0);
    ensure!(read.is_ok() && &magic == b"PAR1", "{name} is not a Parquet file: not a capture");
    let mut tail = [0; 8];
    let tail_read = size >= 12 && file.read_exact_at(&mut tail, size - 8).is_ok();
    let [a, b, c, d, magic @ ..] = tail;
    ensure!(
        tail_read && &magic == b"PAR1",
        "{name} has no Parquet footer: the file was cut off, or its recording did not finish"
    );
    let length = u32::from_le_bytes([a, b, c, d]);
    let at = (size - 8).checked_sub(u64::from(length)).filter(|at| *at >= 4 && u64::from(length) <= MAX_FOOTER);
    let at = at.with_context(|| format!("{name}: the Parquet footer is damaged: its length is {length}"))?;
    fetch(file, at..size - 8)?;
    read_at(file, at, length as usize).with_context(|| format!("cannot read {name}"))
}

/// The footer as readers take it: with the page indexes of `file`, and without what we have read of it ourselves. The
/// file's schema for Arrow goes unread: the types of columns follow from the format.
fn understood(metadata: ParquetMetaData, file: &File) -> Result<ArrowReaderMetadata> {
    let stated = metadata.file_metadata();
    let plain = FileMetaData::new(
        stated.version(),
        stated.num_rows(),
        stated.created_by().map(str::to_string),
        None,
        stated.schema_descr_ptr(),
        stated.column_orders().cloned(),
    );
    let groups = metadata.into_builder().take_row_groups();
    let metadata = ParquetMetaData::new(plain, groups);
    let mut reader =
        ParquetMetaDataReader::new_with_metadata(metadata).with_page_index_policy(PageIndexPolicy::Optional);
    let metadata = reader.read_page_indexes(file).and_then(|()| reader.finish()).map_err(|e| anyhow!("{e}"))?;
    let schema = parquet_to_arrow_schema(metadata.file_metadata().schema_descr(), None).map_err(|e| anyhow!("{e}"))?;
    let options = ArrowReaderOptions::new().with_schema(Arc::new(in_dictionaries(&schema)));
    ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(|e| anyhow!("{e}"))
}

/// The schema with text as dictionaries where the format has them.
fn in_dictionaries(schema: &Schema) -> Schema {
    let field = |field: &Arc<Field>| match column_spec(field.name()) {
        Some(column) => in_dictionary(field, &(column.data_type)()),
        None => Arc::clone(field),
    };
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

/// The field with text as dictionaries where `expected` has them, also in the parts of a list's elements.
fn in_dictionary(field: &Arc<Field>, expected: &DataType) -> Arc<Field> {
    let data_type = match (field.data_type(), expected) {
        (DataType::Utf8, DataType::Dictionary(..)) => expected.clone(),
        (DataType::List(item), DataType::List(expected)) => DataType::List(in_dictionary(item, expected.data_type())),
        (DataType::Struct(parts), DataType::Struct(expected)) => {
            let part = |part: &Arc<Field>| match expected.find(part.name()) {
                Some((_, expected)) => in_dictionary(part, expected.data_type()),
                None => Arc::clone(part),
            };
            DataType::Struct(parts.iter().map(part).collect())
        }
        (other, _) => other.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// Our own key-value metadata: schema version, manifest, chain and seal.
fn own_metadata(metadata: &FileMetaData) -> Result<Own> {
    let pairs: Option<&Vec<KeyValue>> = metadata.key_value_metadata();
    let value = |key: &str| pairs?.iter().find(|p| p.key == key)?.value.as_deref();
    if value(KEY_SCHEMA_VERSION).is_none()
        && let Some(command) = value(KEY_TABLE)
    {
        let command = if command == "flows" { command } else { "query" };
        bail!("is a table that `vmtrace {command}` wrote, not a capture: name the capture that it was made from");
    }
    let version = value(KEY_SCHEMA_VERSION)
        .context("is a Parquet file but not a vmtrace capture: it has no vmtrace.schema_version")?;
    let version: u32 = version.parse().ok().context("has a vmtrace.schema_version that is not a number")?;
    ensure!(
        (1..=SCHEMA_VERSION).contains(&version),
        "has schema version {version}; this vmtrace reads up to {SCHEMA_VERSION}: use a newer vmtrace"
    );
    let json = value(KEY_MANIFEST).context("has no vmtrace.manifest: the capture is damaged")?;
    ensure!(is_modest(json.as_bytes()), "has a vmtrace.manifest larger than any capture's");
    let manifest = manifest::parse(json.as_bytes()).context("has a vmtrace.manifest that cannot be read")?;
    hosts::check(&manifest).context("has a vmtrace.manifest that no vmtrace writes")?;
    let manifest_json = json.to_string();
    // Events can be read without these. `vmtrace verify` reports where they are missing or damaged.
    let chain = value(KEY_CHAIN).filter(|json| is_modest(json.as_bytes()));
    let chain = chain.and_then(|json| serde_json::from_str(json).ok());
    Ok(Own { version, manifest, manifest_json, chain, seal: value(KEY_SEAL).map(str::to_string) })
}

/// Smallest and largest value of an integer leaf in a row group, where its statistics say.
fn range(group: &RowGroupMetaData, leaf: usize) -> Option<(i64, i64)> {
    match group.columns().get(leaf)?.statistics()? {
        Statistics::Int32(s) => Some((i64::from(*s.min_opt()?), i64::from(*s.max_opt()?))),
        Statistics::Int64(s) => Some((*s.min_opt()?, *s.max_opt()?)),
        _ => None,
    }
}
