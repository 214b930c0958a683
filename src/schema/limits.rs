//! All limits on what a file of a stranger can make its reader do, each with its reason.
//!
//! A capture of vmtrace is far below each limit, whatever was recorded: a row group ends with 131,072 rows or 64 MiB of
//! payload and iovecs, a payload has at most 64 KiB, a row at most 1,024 ranges on each side. Anything above is refused
//! in a sentence that names what it is, before memory is allocated. So a reader of one capture takes at most 512 MiB.
//! `--allow-large` raises what depends on [`Limits`]; the constants are fixed. docs/LIMITS.md has both as a table that is
//! made of [`FIXED`] and [`GROWING`], and tests/limits has a test of each, at the limit and one above.
//!
//! Limits of the recorder, which reads no files of strangers, are elsewhere (`record::limits`).

mod option;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

pub use option::{AllowLarge, parse_size};
pub use table::{GROWING, Growing, Limit, Part, Unit};

/// Ranges of a row group that are not counted row by row: they take little, whatever rows they are in.
pub const FEW_RANGES: u64 = 1 << 18;

macro_rules! limits {
    ($($name:ident: $type:ty = $most:expr, $unit:ident of $part:ident, $what:literal, $why:literal;)*) => {
        $(
            #[doc = concat!("Most accepted of ", $what, ": ", $why, ".")]
            pub const $name: $type = $most;
        )*
        /// Limits that nothing raises.
        pub const FIXED: &[Limit] = &[$(Limit {
            name: stringify!($name),
            most: $name as u64,
            unit: Unit::$unit,
            part: Part::$part,
            what: $what,
            why: $why,
        }),*];
    };
}

limits! {
    MAX_FOOTER: u64 = 256 << 20, Bytes of Capture, "the footer; all page indexes together", "ours take about 10 KB per row group";
    MAX_NESTING: usize = 16, Number of Capture, "groups of columns in each other", "ours has 4 levels, a list of structs; the Parquet library follows them by recursion";
    MAX_UNKNOWN_DEPTH: usize = 16, Number of Capture, "levels of what is not known in a footer, page index or page header", "Parquet's own structures have 6; they are followed by recursion";
    MAX_ELEMENTS: u64 = 10_000, Number of Capture, "columns and groups of columns", "ours has about 80";
    MAX_NAME: u64 = 100, Bytes of Capture, "the name of a column", "each column below it has its own copy";
    MAX_FIXED: i32 = 64, Bytes of Capture, "a value of a column of fixed length", "no column of ours has such values";
    MAX_ROW_GROUPS: u64 = 1 << 15, Number of Capture, "row groups", "the Parquet library numbers them with 16 bits";
    MAX_ROW_GROUP_ROWS: i64 = 16 << 20, Number of Capture, "rows of a row group", "a recorder ends one with 131,072 rows";
    MAX_RANGES: u64 = 1024, Number of Capture, "ranges of a row on one side", "the kernel takes no more in a call (UIO_MAXIOV)";
    MAX_JSON: usize = 32 << 20, Bytes of Capture, "the manifest", "one with the longest command line that Linux allows stays below";
    MAX_JSON_VALUES: usize = 1 << 20, Number of Capture, "values, objects and lists of the manifest", "an object of three bytes can become hundreds";
    MAX_HOSTS: usize = 1_024, Number of Capture, "hosts", "the host of each row is looked up";
    MAX_SIGNATURE: u64 = 64 << 10, Bytes of Capture, "a signature, a key that signs, a file of allowed signers", "real ones take a few KB";

    MAX_HEAD: u32 = 32 << 20, Bytes of Unfinished, "the head of a frame between row groups", "it has the manifest";
    MAX_TAIL: u32 = 2 << 20, Bytes of Unfinished, "the tail of a frame", "ours take a few KB";
    MAX_DESCRIPTION: u64 = 2 << 20, Bytes of Unfinished, "the description of a row group in it, uncompressed", "ours take 7 to 30 KB";
    MAX_FRAME_OBJECTS: usize = 1 << 18, Number of Unfinished, "objects and lists of JSON in a frame of a journal, or one in 64 bytes", "it has all processes of a system; an object of three bytes can become hundreds";
    MAX_FRAME_VALUES: usize = 1 << 20, Number of Unfinished, "values of such JSON, or one in 8 bytes", "the same";
    MAX_JOURNAL_FRAME: usize = 64 << 20, Bytes of Unfinished, "a frame of a journal", "a chunk of records with one of the largest size behind it is far below";

    MAX_ENTRIES: u64 = 1_000, Number of Archive, "entries", "a bundle has some for each capture";
    MAX_CAPTURES: usize = 250, Number of Archive, "captures that are read of it", "each is an open file";
    MAX_ENTRY_NAME: usize = 255, Bytes of Archive, "the name of an entry", "no file has a longer one";
    MAX_UNPACKED: u64 = 2 << 30, Bytes of Archive, "what is read of it, uncompressed", "it is copied to TMPDIR";
    MAX_RATIO: u64 = 100, Times of Archive, "an entry, uncompressed, of what it is packed", "what captures consist of is packed already";
    SMALL_ENTRY: u64 = 1 << 20, Bytes of Archive, "an entry for which that does not matter", "texts pack well";
    MAX_SUMS: u64 = 1 << 20, Bytes of Archive, "`SHA256SUMS`", "1,000 lines take 330 KB";

    MAX_STATED_GAPS: usize = 1_024, Number of Making, "gaps that a host states", "what hosts state is compared line by line, and no recorder states so many";
    MAX_STATED_EVENTS: usize = 256, Number of Making, "kinds of events that it asked for", "the same";
    MAX_STATED_FAMILIES: usize = 64, Number of Making, "families that it states", "the same";
    MAX_STATED_LEDGER: usize = 256, Number of Making, "lines of its ledger", "the same";
    MAX_STATED_STEPS: usize = 1_024, Number of Making, "steps by which it was made", "the same";
    MAX_STATED: usize = 16_384, Number of Making, "gaps, families or steps that all hosts state together", "the same";
    MAX_STATED_BYTES: usize = 4 << 20, Bytes of Making, "texts of these gaps and families", "the same";
    MAX_KINDS: usize = 1_024, Number of Making, "kinds of events that are counted", "a capture of ours has far fewer";
    MAX_SLICES: usize = 64, Number of Making, "slices of one capture that are merged", "rows of each are in memory";
    MAX_RECORDINGS: usize = 64, Number of Making, "recordings that are merged, and of them those of one boot", "rows of each are in memory";
    MAX_MAPPED: usize = 1 << 20, Number of Making, "values that `redact --map` writes down", "all are in memory";
    MAX_MAPPED_BYTES: usize = 128 << 20, Bytes of Making, "texts of these values", "all are in memory";
    MAX_KEY: u64 = 1 << 20, Bytes of Making, "the file of `--key`", "256 bits are enough";
    MAX_BUNDLED: usize = 200, Number of Making, "captures that `bundle` puts into an archive", "an archive that is read has no more than 250";
    MAX_PAGE: u64 = 1 << 30, Bytes of Making, "`report --max-size`", "no browser opens more";

    MAX_CONDITION_DEPTH: usize = 64, Number of Command, "parentheses and `not` in each other of `--where` and `--trigger`", "they are followed by recursion";
    MAX_PATTERN: usize = 4_096, Bytes of Command, "the pattern of `memory --search`", "parts of it are compared at each byte";
    MAX_PROCESSES: usize = 100_000, Number of Command, "processes that `replay` shows one after another", "nobody reads more, and their times are in memory";
    MAX_FLOW_CALLS: usize = 100_000, Number of Command, "calls of a flow that `replay --follow` and `slice --flow` take", "they are in memory";
    MAX_MEMORY_PIECES: usize = 300_000, Number of Command, "runs of bytes that `memory` keeps", "each has an event beside it";
    MAX_MEMORY_BYTES: u64 = 32 << 20, Bytes of Command, "what `memory` keeps", "a piece holds on to at most twice its bytes";

    MAX_SQL: usize = 64 << 10, Bytes of Query, "SQL", "the engine follows it by recursion";
    MAX_DIRECTORIES: usize = 32, Number of Query, "directories in each other below one that is named", "links could make it endless";
    MAX_FILES: usize = 100_000, Number of Query, "captures", "the names and footers of all are in memory";
    MAX_MADE_TEXT: usize = 128 << 20, Bytes of Query, "text that a function makes of a batch of rows", "it is 5 times its payload";
    MAX_REMOTE_COLUMN: u64 = 1 << 30, Bytes of Query, "a column of a row group on a server, as it is packed", "a row group has no more, uncompressed";
    MAX_SPILLED: u64 = 100 << 30, Bytes of Query, "what does not fit into memory, in TMPDIR", "a query must not fill any disk";
    MAX_MESSAGE: usize = 256 << 20, Bytes of Query, "a message of a cluster, and a part of a plan", "a plan names every capture";
}

/// What `--allow-large` is where it is not given. A row group's payload and iovecs, and then some.
const LARGE: u64 = 80 << 20;

/// Limits that grow with `--allow-large`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    large: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { large: LARGE }
    }
}

impl Limits {
    /// Limits for captures of which one part may take `large` bytes; never less than the usual ones.
    pub fn of(large: u64) -> Self {
        Limits { large: large.max(LARGE) }
    }

    /// Bytes of one page of a column, or of its dictionary, unpacked.
    pub fn page(self) -> u64 {
        self.large
    }

    /// Bytes of the pages and dictionaries that are held at a time, of all columns together.
    pub fn pages(self) -> u64 {
        self.large.saturating_mul(3) / 2
    }

    /// Bytes of the rows that are decoded at a time.
    pub fn batch(self) -> u64 {
        self.large
    }

    /// Bytes of one value: a payload, a text.
    pub fn value(self) -> u64 {
        self.large / 64
    }

    /// Bytes of one row group, unpacked.
    pub fn row_group(self) -> u64 {
        self.large.saturating_mul(12).max(1 << 30)
    }

    /// Bytes that footer and page indexes of a file of `size` bytes take in memory. A long recording has many row groups, and
    /// a large file; that a small one takes much is what must not be.
    pub fn metadata(self, size: u64) -> u64 {
        self.large.max(size / 4)
    }
}

/// Something is larger than the limits allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// What it is, with its column.
    pub what: String,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes that are accepted.
    pub most: u64,
    /// The SIZE for `--allow-large` with which it is read.
    pub needs: u64,
}

impl std::error::Error for TooLarge {}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooLarge { what, bytes, most, needs } = self;
        let needs = needs.div_ceil(1 << 20);
        write!(f, "{what} of {bytes} bytes, where at most {most} are accepted: ")?;
        write!(f, "give --allow-large {needs}M if the file is trusted")
    }
}

impl Limits {
    /// Whether a page of `bytes` may be read; `what` says whose it is.
    ///
    /// # Errors
    /// When it is too large.
    pub fn check_page(self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
        within(bytes, self.page(), bytes, what)
    }

    /// Whether pages of `bytes` may be held together.
    ///
    /// # Errors
    /// As [`Limits::check_page`].
    pub fn check_pages(self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
        within(bytes, self.pages(), (bytes / 3).saturating_mul(2).saturating_add(2), what)
    }

    /// Whether rows of `bytes` may be decoded together.
    ///
    /// # Errors
    /// As [`Limits::check_page`].
    pub fn check_batch(self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
        within(bytes, self.batch(), bytes, what)
    }

    /// Whether a value may have so many bytes.
    ///
    /// # Errors
    /// As [`Limits::check_page`].
    pub fn check_value(self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
        within(bytes, self.value(), bytes.saturating_add(1).saturating_mul(64), what)
    }

    /// Whether a row group may have so many bytes, unpacked.
    ///
    /// # Errors
    /// As [`Limits::check_page`].
    pub fn check_row_group(self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
        within(bytes, self.row_group(), bytes / 12 + 1, what)
    }
}

fn within(bytes: u64, most: u64, needs: u64, what: impl FnOnce() -> String) -> Result<(), TooLarge> {
    if bytes <= most { Ok(()) } else { Err(TooLarge { what: what(), bytes, most, needs }) }
}

/// Whether `json` has no more in it than memory should be taken for: an object of three bytes can become hundreds.
pub fn is_modest(json: &[u8]) -> bool {
    let (values, inner) = counted(json);
    json.len() <= MAX_JSON && values.saturating_add(inner) <= MAX_JSON_VALUES
}

/// The same of JSON of any length, such as that of a journal: its objects and lists take more bytes than memory is taken for.
pub fn is_sparse(json: &[u8]) -> bool {
    let (values, inner) = counted(json);
    inner <= MAX_FRAME_OBJECTS.max(json.len() / 64) && values <= MAX_FRAME_VALUES.max(json.len() / 8)
}

/// How many commas `json` has, and how many objects and lists begin in it.
fn counted(json: &[u8]) -> (usize, usize) {
    let (mut values, mut inner, mut within, mut escaped) = (0, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if within => escaped = true,
            b'"' => within = !within,
            b',' if !within => values += 1,
            b'{' | b'[' if !within => inner += 1,
            _ => {}
        }
    }
    (values, inner)
}
