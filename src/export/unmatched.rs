//! What is said where nothing in the captures fits the options.

use std::path::PathBuf;

use anyhow::Result;

use crate::model::select::Filter;
use crate::schema::limits::Limits;
use crate::schema::reader::{Capture, Scan};
use crate::terminal;

/// Says of each option that nothing in the captures fits what comes nearest to it.
///
/// # Errors
/// When a capture cannot be read again.
pub fn explain(files: &[PathBuf], limits: Limits, filter: &Filter) -> Result<()> {
    if let [file] = files {
        let capture = Capture::open_within(file, limits)?;
        let outside = capture.mono_span().and_then(|span| filter.outside(&capture.manifest().start, span));
        outside.iter().for_each(|sentence| terminal::say_line(format_args!("{sentence}")));
    }
    let Some(mut nearest) = filter.nearest() else { return Ok(()) };
    for path in files {
        let capture = Capture::open_within(path, limits)?;
        for batch in capture.scan(&Scan { columns: nearest.columns(), ..Scan::default() })? {
            batch?.iter().for_each(|event| nearest.note(&event));
        }
    }
    nearest.sentences().iter().for_each(|sentence| terminal::say_line(format_args!("{sentence}")));
    Ok(())
}
