//! Data that does not fit into memory: files without a name, in the directory for temporary files.
//!
//! They contain captured bytes. Without a name no other user can open them, and nothing remains when the process ends,
//! however it ends. Owns their creation and their size limit; the engine decides when to use them.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;

use crate::schema::limits::MAX_SPILLED;

/// Bytes read at a time.
const CHUNK: usize = 128 << 10;

/// Makes the files of one engine.
#[derive(Debug, Default)]
pub struct Spills {
    /// Bytes in the files that are there.
    used: Arc<AtomicU64>,
}

impl TempFileFactory for Spills {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>> {
        let directory = std::env::temp_dir();
        let file = tempfile::tempfile_in(&directory).map_err(|error| {
            let place = directory.display();
            let text =
                format!("cannot make a temporary file in {place} ({description}): {error}; set TMPDIR to another");
            DataFusionError::Execution(text)
        })?;
        Ok(Arc::new(Spill(Arc::new(Inner { file, size: AtomicU64::new(0), used: Arc::clone(&self.used) }))))
    }
}

struct Spill(Arc<Inner>);

struct Inner {
    file: File,
    size: AtomicU64,
    /// Of all files.
    used: Arc<AtomicU64>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.used.fetch_sub(self.size.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl SpillFile for Spill {
    fn size(&self) -> Option<u64> {
        Some(self.0.size.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let inner = Arc::clone(&self.0);
        Ok(Box::pin(futures::stream::try_unfold((inner, 0u64), |(inner, at)| async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; CHUNK];
                let read = loop {
                    match inner.file.read_at(&mut buffer, at) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        read => break read,
                    }
                };
                buffer.truncate(*read.as_ref().unwrap_or(&0));
                read.map(|_| (buffer, inner))
            });
            let (buffer, inner) = read.await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
            let next = at.saturating_add(buffer.len() as u64);
            Ok((!buffer.is_empty()).then(|| (Bytes::from(buffer), (inner, next))))
        })))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Writer(Arc::clone(&self.0))))
    }
}

/// Appends to a file. There is one at a time.
struct Writer(Arc<Inner>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Inner { file, size, used } = &*self.0;
        let new = bytes.len() as u64;
        if used.fetch_add(new, Ordering::Relaxed).saturating_add(new) > MAX_SPILLED {
            used.fetch_sub(new, Ordering::Relaxed);
            return Err(io::Error::other(
                "temporary files have reached 100 GiB: ask for less, or give --memory-limit more",
            ));
        }
        let written = file.write_all_at(bytes, size.load(Ordering::Relaxed));
        if let Err(error) = written {
            used.fetch_sub(new, Ordering::Relaxed);
            let what = format!("cannot write a temporary file in {}: {error}", std::env::temp_dir().display());
            return Err(io::Error::new(error.kind(), what));
        }
        size.fetch_add(new, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_no_longer_counted_once_it_is_gone() {
        let spills = Spills::default();
        let file = spills.create_temp_file("a test").unwrap();
        assert!(file.path().is_none());
        let wanted: Vec<u8> = (0..3 * CHUNK + 5).map(|n| n as u8).collect();
        let mut writer = file.open_writer().unwrap();
        wanted.chunks(1000).for_each(|part| writer.write_all(part).unwrap());
        writer.finish().unwrap();
        drop(writer);
        assert_eq!(
            (file.size(), spills.used.load(Ordering::Relaxed)),
            (Some(wanted.len() as u64), wanted.len() as u64)
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..2 {
            let parts = runtime.block_on(file.read_stream().unwrap().collect::<Vec<_>>());
            let found: Vec<u8> = parts.into_iter().flat_map(|part| part.unwrap().to_vec()).collect();
            assert!(found == wanted);
        }
        drop(file);
        assert_eq!(spills.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn files_are_as_large_together_as_they_may_be() {
        let spills = Spills::default();
        let file = tempfile::tempfile().unwrap();
        let inner = Inner { file, size: AtomicU64::new(0), used: Arc::clone(&spills.used) };
        let mut spill = Writer(Arc::new(inner));
        spills.used.store(MAX_SPILLED - 3, Ordering::Relaxed);
        assert_eq!(spill.write(b"abc").unwrap(), 3);
        let said = spill.write(b"d").unwrap_err().to_string();
        assert!(said.starts_with("temporary files have reached 100 GiB"), "{said}");
    }
}
