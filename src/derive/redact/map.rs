//! The way back, for the sender alone: a file with the original of each pseudonym.

use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::clocks::Shift;
use super::kinds::Originals;
use crate::count::grouped;
use crate::output::Whole;
use crate::schema::file::{Links, open_regular};
use crate::schema::limits::MAX_MAPPED;

/// What the first field of a map says.
const FORMAT: &str = "vmtrace redact";
/// Bytes of the largest map that is looked at before it is replaced.
const LARGEST: u64 = 1 << 30;

/// A capture that a map is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Of {
    /// Its name, without directories.
    pub file: String,
    /// Its root digest.
    pub root: Option<String>,
    /// Its id.
    pub capture_id: String,
}

/// What is at the beginning of a map.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Head {
    map: String,
    /// The capture with the originals.
    original: Of,
    /// The capture that was made.
    redacted: Of,
    level: String,
}

/// A map, as it is in the file.
#[derive(Debug, Serialize)]
pub struct Content<'a> {
    map: &'static str,
    original: &'a Of,
    /// The capture that was made.
    redacted: &'a Of,
    level: &'a str,
    rules: u32,
    /// Added to the wall clock, ns.
    wall_clock_ns: i64,
    /// Added to the monotonic clock and to that since boot, ns.
    monotonic_clock_ns: i64,
    /// By kind: pseudonym → original.
    values: &'a Originals,
}

impl<'a> Content<'a> {
    /// The content for a redaction of `original` to `redacted`.
    ///
    /// # Errors
    /// When there were too many values to remember.
    pub fn new(
        [original, redacted]: [&'a Of; 2],
        (level, rules): (&'a str, u32),
        shift: Shift,
        values: Option<&'a Originals>,
    ) -> Result<Self> {
        let too_many = || {
            let most = grouped(MAX_MAPPED as u64);
            format!(
                "--map: more than {most} values were replaced: use --key FILE, which makes them again, and no --map"
            )
        };
        Ok(Content {
            map: FORMAT,
            original,
            redacted,
            level,
            rules,
            wall_clock_ns: shift.wall_ns,
            monotonic_clock_ns: shift.uptime_ns,
            values: values.with_context(too_many)?,
        })
    }
}

/// A map that will be written. It has no name before it is whole, and only its owner can read it.
#[derive(Debug)]
pub struct Map {
    path: PathBuf,
    whole: Whole,
}

impl Map {
    /// Begins the map of `original` that will be called `path`, for a result with this id at this level.
    ///
    /// # Errors
    /// When something has that name; with `force`, if that is not a map of the same capture with the same pseudonyms: it
    /// would be the only way back for another.
    pub fn create(path: &Path, force: bool, original: &Of, result: (&str, &str)) -> Result<Self> {
        if force && path.symlink_metadata().is_ok() {
            check_fits(path, original, result)?;
        }
        let whole = Whole::create(path, force, 0o600).context("--map")?;
        Ok(Map { path: path.to_path_buf(), whole })
    }

    /// Writes the map and gives it its name.
    ///
    /// # Errors
    /// When it cannot be written. Nothing is left then.
    pub fn publish(self, content: &Content<'_>) -> Result<()> {
        let written = || -> Result<()> {
            let mut out = BufWriter::new(self.whole.file());
            serde_json::to_writer_pretty(&mut out, content)?;
            out.write_all(b"\n")?;
            Ok(out.flush()?)
        };
        written().with_context(|| format!("--map: cannot write {}", self.path.display()))?;
        self.whole.publish()
    }
}

fn check_fits(path: &Path, original: &Of, (capture_id, level): (&str, &str)) -> Result<()> {
    let name = path.display();
    let Some(file) = open_regular(path, Links::Follow).with_context(|| format!("--map: cannot open {name}"))? else {
        bail!("--map: {name} is not a regular file: choose another name");
    };
    let head: Option<Head> = serde_json::from_reader(BufReader::new(file.take(LARGEST))).ok();
    let head = head.filter(|head| head.map == FORMAT);
    let head =
        head.with_context(|| format!("--map: {name} is no map: --force replaces nothing else; choose another name"))?;
    ensure!(
        head.original.root.is_some() && head.original.root == original.root,
        "--map: {name} is the map of another capture, whose way back would be lost: choose another name"
    );
    // The id comes from the secret, as all pseudonyms do.
    ensure!(
        head.redacted.capture_id == capture_id && head.level == level,
        "--map: {name} is the map of another result, made with another key or level, whose way back would be lost: \
         choose another name"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn of(root: &str) -> Of {
        Of { file: "t.parquet".into(), root: Some(root.into()), capture_id: "a".into() }
    }

    fn write(path: &Path, force: bool, root: &str) -> Result<()> {
        write_of(path, force, root, ("a", "share"))
    }

    fn write_of(path: &Path, force: bool, root: &str, (capture_id, level): (&str, &str)) -> Result<()> {
        let (original, redacted) = (of(root), Of { capture_id: capture_id.into(), ..of("r") });
        let map = Map::create(path, force, &original, (capture_id, level))?;
        let values = Originals::from([("comm", [("comm-1".to_string(), "victim".to_string())].into())]);
        let both = [&original, &redacted];
        map.publish(&Content::new(both, (level, 1), Shift::default(), Some(&values))?)
    }

    #[test]
    fn a_map_is_private_and_replaces_only_one_of_the_same_capture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("map.json");
        let said = |result: Result<()>| format!("{:#}", result.unwrap_err());
        write(&path, false, "1").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let text: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(text["values"]["comm"]["comm-1"], "victim");
        assert!(said(write(&path, false, "1")).contains("exists"));
        write(&path, true, "1").unwrap();
        assert!(said(write(&path, true, "2")).contains("another capture"));
        assert!(said(write_of(&path, true, "1", ("b", "share"))).contains("another result"));
        assert!(said(write_of(&path, true, "1", ("a", "metadata"))).contains("another result"));
        std::fs::write(&path, "{\"notes\":1}").unwrap();
        assert!(said(write(&path, true, "1")).contains("is no map"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"notes\":1}");
    }

    #[test]
    fn too_many_values_make_no_map() {
        let both = of("1");
        let error = Content::new([&both, &both], ("share", 1), Shift::default(), None).unwrap_err();
        assert!(error.to_string().contains("--key FILE"));
    }
}
