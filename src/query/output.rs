//! Where a result goes: stdout, or a file that gets its name only when it is whole, with mode 0600.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use arrow::datatypes::SchemaRef;
use tempfile::NamedTempFile;

use super::format::{Format, Sink};

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 16;

/// The place of one result.
pub struct Output {
    format: Format,
    file: Option<Target>,
}

struct Target {
    path: PathBuf,
    force: bool,
    temporary: NamedTempFile,
}

impl Output {
    /// The file `path`, or stdout where there is none.
    ///
    /// # Errors
    /// When the file exists and `force` is not given, when its directory cannot be written, or when the format is not for
    /// a terminal.
    pub fn new(path: Option<&Path>, force: bool, format: Format) -> Result<Self> {
        let Some(path) = path else {
            let unfit = format.is_binary() && std::io::stdout().is_terminal();
            ensure!(!unfit, "that format is not for a terminal: give -o OUT, or redirect stdout");
            return Ok(Output { format, file: None });
        };
        let name = path.display();
        ensure!(!path.is_dir(), "{name} is a directory: name a file in it");
        ensure!(force || path.symlink_metadata().is_err(), "{name} exists: give --force to replace it");
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = NamedTempFile::with_prefix_in(".vmtrace-query-", directory);
        let temporary = temporary.with_context(|| format!("cannot create {name}"))?;
        Ok(Output { format, file: Some(Target { path: path.to_path_buf(), force, temporary }) })
    }

    /// A sink for rows of `schema`.
    ///
    /// # Errors
    /// When the format cannot hold them.
    pub fn sink(&self, schema: &SchemaRef) -> Result<Box<dyn Sink + '_>> {
        let out: Box<dyn Write + Send> = match &self.file {
            Some(target) => {
                let file: &File = target.temporary.as_file();
                Box::new(BufWriter::with_capacity(BUFFER, file))
            }
            None => Box::new(BufWriter::with_capacity(BUFFER, std::io::stdout())),
        };
        self.format.sink(out, schema)
    }

    /// Gives a finished file its name.
    ///
    /// # Errors
    /// When something of that name has come up meanwhile, or the disk fails.
    pub fn publish(self) -> Result<()> {
        let Some(Target { path, force, temporary }) = self.file else { return Ok(()) };
        let name = path.display();
        temporary.as_file().sync_all().with_context(|| format!("cannot write {name}"))?;
        let result = if force { temporary.persist(&path) } else { temporary.persist_noclobber(&path) };
        match result {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("{name} exists: give --force to replace it")
            }
            Err(error) => Err(error.error).with_context(|| format!("cannot create {name}")),
        }
    }
}
