//! What a bundle has beside its captures: pages, summary and facts. All of it is made of the captures in the bundle.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::parts::{Part, unnamed};
use super::readme;
use crate::replay::{info, summary};
use crate::schema::limits::Limits;

/// A file of the bundle.
#[derive(Debug)]
pub struct Content {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The bytes of a file.
#[derive(Debug)]
pub enum Bytes {
    /// They are packed.
    Packed(Source),
    /// They are those of the capture of this name. It is packed already, and stays as it is.
    Capture(String),
}

/// Where bytes are that are to be packed.
#[derive(Debug)]
pub enum Source {
    /// In memory.
    Text(Vec<u8>),
    /// In a part of a file.
    File(Arc<File>, Range<u64>),
}

/// The files of a bundle, but for that of the digests, and what was left out of the pages, a sentence each.
#[derive(Debug)]
pub struct Contents {
    /// The files, in the order that they have in the bundle.
    pub files: Vec<Content>,
    /// What was left out.
    pub left_out: Vec<String>,
}

/// Makes the files that stand beside `parts`, with pages of `page` bytes at most, or none.
///
/// # Errors
/// When a capture cannot be read, or there is no space.
pub fn of(parts: &[Part], page: Option<u64>, limits: Limits) -> Result<Contents> {
    let mut left_out = Vec::new();
    let mut pages = Vec::new();
    // One for all of them: there may be as many as captures, and each open file counts.
    let file = Arc::new(unnamed()?);
    for part in parts {
        let made = match page {
            Some(most) => self::page(part, &file, most, limits)?,
            None => None,
        };
        match made {
            Some((content, missing)) => {
                left_out.extend(missing.iter().map(|sentence| format!("{}: {sentence}", part.page)));
                pages.push(content);
            }
            None => left_out.push(format!("{}: there is no page: it would be too large.", part.page)),
        }
    }
    let paths: Vec<PathBuf> = parts.iter().map(|part| PathBuf::from(&part.name)).collect();
    let text = |name: &str, bytes: Vec<u8>| Content { name: name.into(), bytes: Bytes::Packed(Source::Text(bytes)) };
    let summary = text("summary.txt", summary::text(&paths, limits)?.into_bytes());
    let facts = text("info.json", facts(parts, limits)?);
    let names: Vec<String> = pages.iter().map(|page| page.name.clone()).collect();
    let readme = text(readme::NAME, readme::text(parts, &names, &left_out, limits)?.into_bytes());
    let mut files = vec![readme];
    files.extend(pages);
    files.extend([summary, facts]);
    let captures = parts.iter().map(|part| part.name.clone());
    files.extend(captures.map(|name| Content { name: name.clone(), bytes: Bytes::Capture(name) }));
    Ok(Contents { files, left_out })
}

/// The page of a capture, which is written behind those in `file`, with what is left out of it; `None` where no page is so small.
fn page(part: &Part, file: &Arc<File>, most: u64, limits: Limits) -> Result<Option<(Content, Vec<String>)>> {
    let begin = (&**file).seek(SeekFrom::End(0))?;
    let mut out = BufWriter::with_capacity(1 << 16, &**file);
    let made = crate::report::write(&PathBuf::from(&part.name), limits, most, &mut out);
    let missing = match made {
        Ok(missing) => missing,
        Err(error) if error.is::<crate::report::TooSmall>() => return Ok(None),
        Err(error) => return Err(error),
    };
    out.flush().context("cannot write a temporary file")?;
    drop(out);
    let bytes = Bytes::Packed(Source::File(Arc::clone(file), begin..file.metadata()?.len()));
    Ok(Some((Content { name: part.page.clone(), bytes }, missing)))
}

/// What `vmtrace info -T json` prints of each capture, as one list.
fn facts(parts: &[Part], limits: Limits) -> Result<Vec<u8>> {
    let mut objects = Vec::new();
    for part in parts {
        let object = info::json(&part.open(limits)?)?;
        objects.push(String::from_utf8(object).context("JSON is text")?.trim_end().to_string());
    }
    Ok(format!("[\n{}\n]\n", objects.join(",\n")).into_bytes())
}
