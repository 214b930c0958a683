//! Writes a capture anew with row groups of another size: `regroup IN OUT ROWS`. For tests of readers, which must find
//! their way in files of many row groups as in those of one.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use vmtrace::schema::BatchBuilder;
use vmtrace::schema::group::EncodedGroup;
use vmtrace::schema::reader::{Capture, Scan};
use vmtrace::schema::writer::CaptureFile;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, rows] = args.as_slice() else { anyhow::bail!("usage: regroup IN OUT ROWS") };
    let rows: usize = rows.parse().context("ROWS is a number")?;
    let capture = Capture::open(Path::new(from))?;
    let manifest = capture.manifest();
    let file = File::create_new(to).with_context(|| to.clone())?;
    let mut out = CaptureFile::create(file, manifest).with_context(|| to.clone())?;
    let mut builder = BatchBuilder::default();
    let mut write = |builder: &mut BatchBuilder| -> Result<()> {
        let group = EncodedGroup::encode(builder.take()?)?;
        out.append(&group, manifest.end, &serde_json::Value::Null).with_context(|| to.clone())
    };
    for batch in capture.scan(&Scan::default())? {
        for event in batch?.iter() {
            builder.push(&event);
            if builder.rows() >= rows {
                write(&mut builder)?;
            }
        }
    }
    if builder.rows() > 0 {
        write(&mut builder)?;
    }
    println!("{}", out.close(manifest).with_context(|| to.clone())?);
    Ok(())
}
