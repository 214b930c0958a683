//! Captures read back: opening and checking. Streaming their events stands in `super::scan`.
//!
//! Captures come from strangers. Nothing here trusts a number in the file: sizes are checked against the file
//! and against fixed limits before anything is allocated by them, and a panic inside the Parquet library is
//! caught and reported as damage.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result, anyhow, bail, ensure};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::SCHEMA_VERSION;
use super::chain::{Chain, KEY_CHAIN, KEY_SEAL};
use super::columns::column_spec;
use super::file::{Links, open_regular};
use super::manifest::{self, KEY_MANIFEST, KEY_SCHEMA_VERSION, Manifest, quoted};
use super::nesting;
use super::partial;
pub use super::scan::{Events, Scan};

/// Largest footer accepted; ours take about 10 KB per row group.
pub(super) const MAX_FOOTER: u64 = 256 << 20;
/// Largest row group accepted, uncompressed; ours end near 100 MiB.
const MAX_ROW_GROUP: i64 = 1 << 30;
/// Most rows accepted in one row group.
const MAX_ROW_GROUP_ROWS: i64 = 16 << 20;

/// An opened capture: its footer has been read and checked, its events not yet.
#[derive(Debug)]
pub struct Capture {
    path: PathBuf,
    file: File,
    size: u64,
    own: Own,
    metadata: ArrowReaderMetadata,
}

/// Our own key-value metadata.
#[derive(Debug)]
struct Own {
    version: u32,
    manifest: Manifest,
    chain: Option<Chain>,
    seal: Option<String>,
}

impl Capture {
    /// Opens a capture and checks its footer.
    ///
    /// # Errors
    /// One sentence naming the file: missing, a directory, empty, cut off, not Parquet, not a capture, of a
    /// newer schema version, with a column of the wrong type, or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, size) = open_file(path)?;
        if is_unfinished(&file, size) {
            let name = path.display();
            bail!(
                "{name} has no Parquet footer: its recording did not finish, or it was cut off: make a capture of what is \
                 there with `vmtrace recover {name} -o FILE`"
            );
        }
        check_ends(&file, size, path, &|_, _| Ok(()))?;
        Self::checked(path, file, size)
    }

    /// Opens a capture of `size` bytes whose bytes are elsewhere: `file`, which is as long, is given those of each range
    /// by `fetch` before they are looked at. `path` is what it is called.
    ///
    /// # Errors
    /// Those of [`Capture::open`] and of `fetch`.
    pub fn fetched(path: &Path, file: File, size: u64, fetch: &Fetch<'_>) -> Result<Self> {
        let footer = check_ends(&file, size, path, fetch)?;
        if let Some(range) = guarded(|| page_indexes(&footer)).with_context(|| path.display().to_string())? {
            ensure!(
                range.end <= size && range.end - range.start <= MAX_FOOTER,
                "{}: the page index is damaged: it claims bytes {} to {}",
                path.display(),
                range.start,
                range.end
            );
            fetch(&file, range)?;
        }
        Self::checked(path, file, size)
    }

    fn checked(path: &Path, file: File, size: u64) -> Result<Self> {
        let metadata = guarded(|| {
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            ArrowReaderMetadata::load(&file, options).map_err(|e| anyhow!("{e}"))
        })
        .with_context(|| format!("{}: the Parquet footer is damaged", path.display()))?;
        let own = own_metadata(&metadata).with_context(|| path.display().to_string())?;
        check_layout(&metadata, size).with_context(|| path.display().to_string())?;
        Ok(Capture { path: path.to_path_buf(), file, size, own, metadata })
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
        Ok(Events::new(self.path.clone(), file, self.metadata.clone(), scan.clone(), groups))
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

/// Checks that `file` begins and ends like Parquet; returns the footer, which is nested as a capture's may be.
fn check_ends(mut file: &File, size: u64, path: &Path, fetch: &Fetch<'_>) -> Result<Vec<u8>> {
    let name = path.display();
    ensure!(size > 0, "{name} is empty: not a capture");
    fetch(file, 0..size.min(4))?;
    fetch(file, size.saturating_sub(8)..size)?;
    let mut magic = [0; 4];
    let read = file.read_exact(&mut magic);
    ensure!(read.is_ok() && &magic == b"PAR1", "{name} is not a Parquet file: not a capture");
    let mut tail = [0; 8];
    let tail_read = size >= 12 && file.seek(SeekFrom::End(-8)).and_then(|_| file.read_exact(&mut tail)).is_ok();
    let [a, b, c, d, magic @ ..] = tail;
    ensure!(
        tail_read && &magic == b"PAR1",
        "{name} has no Parquet footer: the file was cut off, or its recording did not finish"
    );
    let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
    ensure!(
        footer <= size - 12 && footer <= MAX_FOOTER,
        "{name}: the Parquet footer is damaged: its length is {footer}"
    );
    fetch(file, size - 8 - footer..size - 8)?;
    let mut metadata = Vec::new();
    let read = file.seek(SeekFrom::Start(size - 8 - footer)).and_then(|_| file.take(footer).read_to_end(&mut metadata));
    read.with_context(|| format!("cannot read {name}"))?;
    nesting::check(&metadata).with_context(|| name.to_string())?;
    file.seek(SeekFrom::Start(0)).with_context(|| format!("cannot read {name}"))?;
    Ok(metadata)
}

/// Where the page indexes of a footer lie.
fn page_indexes(footer: &[u8]) -> Result<Option<Range<u64>>> {
    let metadata = ParquetMetaDataReader::decode_metadata(footer).context("the Parquet footer is damaged")?;
    let columns = || metadata.row_groups().iter().flat_map(|group| group.columns());
    let spans = columns().flat_map(|column| {
        [
            (column.column_index_offset(), column.column_index_length()),
            (column.offset_index_offset(), column.offset_index_length()),
        ]
    });
    let mut whole: Option<Range<u64>> = None;
    for (offset, length) in spans {
        let (Some(offset), Some(length)) = (offset, length) else { continue };
        let (start, length) =
            u64::try_from(offset).ok().zip(u64::try_from(length).ok()).context("the page index is damaged")?;
        let end = start.saturating_add(length);
        whole = Some(whole.map_or(start..end, |so_far| so_far.start.min(start)..so_far.end.max(end)));
    }
    Ok(whole)
}

/// Our own key-value metadata: schema version, manifest, chain and seal.
fn own_metadata(metadata: &ArrowReaderMetadata) -> Result<Own> {
    let pairs = metadata.metadata().file_metadata().key_value_metadata();
    let value = |key: &str| pairs?.iter().find(|p| p.key == key)?.value.as_deref();
    let version = value(KEY_SCHEMA_VERSION)
        .context("is a Parquet file but not a vmtrace capture: it has no vmtrace.schema_version")?;
    let version: u32 = version.parse().ok().context("has a vmtrace.schema_version that is not a number")?;
    ensure!(
        (1..=SCHEMA_VERSION).contains(&version),
        "has schema version {version}; this vmtrace reads up to {SCHEMA_VERSION}: use a newer vmtrace"
    );
    let json = value(KEY_MANIFEST).context("has no vmtrace.manifest: the capture is damaged")?;
    let manifest = manifest::parse(json.as_bytes()).context("has a vmtrace.manifest that cannot be read")?;
    // Events can be read without these; that they are missing or damaged is for `vmtrace verify` to say.
    let chain = value(KEY_CHAIN).and_then(|json| serde_json::from_str(json).ok());
    Ok(Own { version, manifest, chain, seal: value(KEY_SEAL).map(str::to_string) })
}

/// Refuses types we do not write and sizes we cannot have written.
fn check_layout(metadata: &ArrowReaderMetadata, size: u64) -> Result<()> {
    for field in metadata.schema().fields() {
        let Some(column) = column_spec(field.name()) else { continue };
        let expected = (column.data_type)();
        let found = field.data_type();
        ensure!(found == &expected, "column {} is {}, not {expected}", column.name, quoted(&found.to_string()));
    }
    for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
        ensure!(
            (0..=MAX_ROW_GROUP_ROWS).contains(&group.num_rows()),
            "row group {index} claims {} rows",
            group.num_rows()
        );
        let mut total = 0i64;
        for chunk in group.columns() {
            let (start, length) = guarded(|| Ok(chunk.byte_range())).context("the Parquet footer is damaged")?;
            let name = chunk.column_path();
            let end = start.checked_add(length).filter(|end| *end <= size);
            ensure!(end.is_some(), "row group {index}: column {name} lies outside the file");
            ensure!(chunk.num_values() >= 0, "row group {index}: column {name} claims {} values", chunk.num_values());
            total = total.saturating_add(chunk.uncompressed_size().max(0));
        }
        if total > MAX_ROW_GROUP {
            bail!("row group {index} claims {total} bytes uncompressed; vmtrace writes at most {MAX_ROW_GROUP}");
        }
    }
    Ok(())
}

/// Smallest and largest value of an integer leaf in a row group, where its statistics say.
fn range(group: &RowGroupMetaData, leaf: usize) -> Option<(i64, i64)> {
    match group.columns().get(leaf)?.statistics()? {
        Statistics::Int32(s) => Some((i64::from(*s.min_opt()?), i64::from(*s.max_opt()?))),
        Statistics::Int64(s) => Some((*s.min_opt()?, *s.max_opt()?)),
        _ => None,
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on bytes from a file; a panic in the Parquet library becomes an error, without a backtrace on
/// the user's screen.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                default(info);
            }
        }));
    });
    GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    result.unwrap_or_else(|_| Err(anyhow!("the Parquet library gave up on it")))
}
