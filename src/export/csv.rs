//! CSV: a fixed header with every column, one row per event, null as an empty field.
//!
//! iovecs are `base:len;base:len` and payload is hexadecimal. Control characters in text are escaped as on a terminal,
//! and so is the backslash, so the original can be restored.

use std::io::{self, Write};

use anyhow::Result;

use super::{Export, Origin};
use crate::model::{origin, time};
use crate::schema::columns::COLUMNS;
use crate::schema::{Cell, Event};
use crate::terminal::escape::{Hex, Safe};

/// Writes CSV to its output.
pub struct Csv<W: Write> {
    out: csv::Writer<W>,
    started: bool,
    field: String,
    /// Whether redaction took the addresses of the capture away.
    without_addresses: bool,
}

impl<W: Write> std::fmt::Debug for Csv<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Csv").field("started", &self.started).finish_non_exhaustive()
    }
}

impl<W: Write> Csv<W> {
    /// An exporter that writes to `out`.
    pub fn new(out: W) -> Self {
        Csv { out: csv::Writer::from_writer(out), started: false, field: String::new(), without_addresses: false }
    }
}

impl<W: Write> Export for Csv<W> {
    fn capture(&mut self, origin: &Origin<'_>) -> Result<()> {
        self.without_addresses = origin::without_addresses(&origin.manifest.derived_from);
        if !std::mem::replace(&mut self.started, true) {
            self.out.write_record(COLUMNS.iter().map(|c| c.name)).map_err(plain)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        let Csv { out, field, without_addresses, .. } = self;
        let mut result = Ok(());
        event.cells(|_, cell| {
            if result.is_ok() {
                field.clear();
                text(field, cell, *without_addresses);
                result = out.write_field(&field);
            }
        });
        result.and_then(|()| out.write_record(None::<&[u8]>)).map_err(plain)?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// The io::Error within, so that a closed pipe is known for one.
fn plain(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        kind => io::Error::other(format!("{kind:?}")).into(),
    }
}

fn text(field: &mut String, cell: Cell<'_>, without_addresses: bool) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = match cell {
        Cell::Null => Ok(()),
        Cell::Int(value) => write!(field, "{value}"),
        Cell::Uint(value) => write!(field, "{value}"),
        Cell::Bool(value) => write!(field, "{value}"),
        Cell::Text(text) => write!(field, "{}", Safe(text)),
        Cell::Bytes(bytes) => write!(field, "{}", Hex(bytes)),
        Cell::Micros(micros) => write!(field, "{}", time::utc_micros(micros)),
        Cell::Iovecs(iovecs) => iovecs.iter().enumerate().try_for_each(|(index, iov)| {
            let separator = if index == 0 { "" } else { ";" };
            match without_addresses {
                true => write!(field, "{separator}:{:#x}", iov.len),
                false => write!(field, "{separator}{:#x}:{:#x}", iov.base, iov.len),
            }
        }),
        Cell::Regions(regions) => write!(field, "{}", Safe(&regions.to_string())),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::types::{Iovec, Iovecs};

    #[test]
    fn fields_keep_every_bit() {
        let iov = [Iovec { base: u64::MAX, len: 1 }, Iovec { base: 16, len: 0 }];
        let field = |cell| {
            let mut field = String::new();
            text(&mut field, cell, false);
            field
        };
        assert_eq!(field(Cell::Iovecs(Iovecs::Pairs(&iov))), "0xffffffffffffffff:0x1;0x10:0x0");
        let mut redacted = String::new();
        text(&mut redacted, Cell::Iovecs(Iovecs::Pairs(&iov)), true);
        assert_eq!(redacted, ":0x1;:0x0", "redaction took the addresses away");
        assert_eq!(field(Cell::Bytes(b"\x00\xfe")), "00fe");
        assert_eq!(field(Cell::Text("a\x1b\\")), "a\\x1b\\\\");
        assert_eq!(field(Cell::Null), "");
        assert_eq!(field(Cell::Int(i64::MIN)), "-9223372036854775808");
    }
}
