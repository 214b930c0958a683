//! Finds the files that are named: captures, directories, and patterns. Owns no content of a file.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::remote;
use crate::schema::limits::{MAX_DIRECTORIES, MAX_FILES};

/// What makes a pattern of a word.
const PATTERN: [char; 3] = ['*', '?', '['];

/// The captures that `words` name, each once, those of a directory or pattern in order of their names.
///
/// # Errors
/// A pattern that is none or matches nothing, a directory without captures.
pub fn find(words: &[OsString]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for word in words {
        let path = Path::new(word);
        let text = word.to_str().unwrap_or_default();
        if is_url(path) {
            remote::find(text, MAX_FILES, &mut found)?;
        } else if path.is_dir() {
            let before = found.len();
            directory(path, 0, &mut found)?;
            ensure!(found.len() > before, "{} holds no captures: no *.parquet in it", path.display());
        } else if !path.exists() && text.contains(PATTERN) {
            let before = found.len();
            pattern(Path::new(""), Path::new(text), 0, &mut found).with_context(|| format!("pattern {text}"))?;
            ensure!(found.len() > before, "{text} matches no file");
        } else {
            found.push(path.to_path_buf());
        }
        ensure!(found.len() <= MAX_FILES, "more than {MAX_FILES} captures: name fewer");
    }
    ensure!(!found.is_empty(), "name a capture, a directory, or a pattern");
    let mut seen = HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

/// Whether it is a URL: of a file there is none whose name has `://` in it.
pub fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains("://")) && !path.exists()
}

/// Takes the files below `base` that the pattern `rest` matches, part by part. Names that are no UTF-8 are matched as they
/// are shown, which `glob` itself does not do: it panics at them.
fn pattern(base: &Path, rest: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let mut parts = rest.components();
    let Some(part) = parts.next() else {
        if base.is_file() {
            found.push(base.to_path_buf());
        }
        return Ok(());
    };
    let (rest_after, text) = (parts.as_path(), part.as_os_str().to_string_lossy());
    if !text.contains(PATTERN) {
        return pattern(&base.join(part), rest_after, depth, found);
    }
    let any_depth = text == "**";
    let matcher = glob::Pattern::new(&text)?;
    if any_depth {
        pattern(base, rest_after, depth, found)?;
    }
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    for entry in entries(if base.as_os_str().is_empty() { Path::new(".") } else { base })? {
        let name = entry.file_name();
        let hidden = any_depth && name.as_encoded_bytes().starts_with(b".");
        if hidden || !matcher.matches_with(&name.to_string_lossy(), options) {
            continue;
        }
        let inner = base.join(name);
        if !any_depth {
            // Only directories can be entered.
            if rest_after.as_os_str().is_empty() || inner.is_dir() {
                pattern(&inner, rest_after, depth, found)?;
            }
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            ensure!(
                depth < MAX_DIRECTORIES,
                "{}: directories are nested more than {MAX_DIRECTORIES} deep",
                inner.display()
            );
            pattern(&inner, rest, depth + 1, found)?;
        }
    }
    Ok(())
}

/// What is in a directory, in order of the names.
fn entries(path: &Path) -> Result<Vec<DirEntry>> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let mut entries = entries.collect::<Result<Vec<_>, _>>().with_context(|| path.display().to_string())?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

/// Takes the `*.parquet` of a directory and of those in it; hidden ones and symbolic links to directories are left out.
fn directory(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if depth > MAX_DIRECTORIES {
        bail!("{}: directories are nested more than {MAX_DIRECTORIES} deep", path.display());
    }
    for entry in entries(path)? {
        let inner = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            directory(&inner, depth + 1, found)?;
        } else if inner.extension().is_some_and(|e| e == "parquet") {
            found.push(inner);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn directories_and_patterns_become_captures() {
        let dir = tempfile::tempdir().unwrap();
        let touch = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
        };
        for name in ["b.parquet", "a.parquet", "sub/c.parquet", ".hidden.parquet", "x.parquet.partial"] {
            touch(name);
        }
        let name = |path: &str| dir.path().join(path).into_os_string();
        let names = |words: &[OsString]| {
            let found = find(words).unwrap();
            found.iter().map(|p| p.strip_prefix(dir.path()).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        let all = ["a.parquet", "b.parquet", "sub/c.parquet"];
        assert_eq!(names(&[name("")]), all);
        assert_eq!(names(&[name("b.parquet"), name("*.parquet")]), ["b.parquet", "a.parquet"]);
        assert_eq!(names(&[name("**/c*")]), ["sub/c.parquet"]);
        assert_eq!(names(&[name("s[tu]b/?.parquet")]), ["sub/c.parquet"]);
        assert_eq!(names(&[name("**/*.parquet")]), all);
        assert_eq!(names(&[name(".h*")]), [".hidden.parquet"]);
        assert!(find(&[name("[")]).is_err() && find(&[name("a.parquet/*")]).is_err());
        assert!(find(&[name("z*")]).unwrap_err().to_string().ends_with("matches no file"));
        assert_eq!(names(&[name("missing.parquet")]), ["missing.parquet"], "opening it says that it is missing");
    }

    #[test]
    fn names_need_not_be_utf_8() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join(OsStr::from_bytes(b"odd\xff.parquet"));
        let below = dir.path().join(OsStr::from_bytes(b"sub\xfe"));
        std::fs::create_dir(&below).unwrap();
        let inner = below.join("c.parquet");
        for path in [&odd, &inner] {
            std::fs::write(path, "").unwrap();
        }
        let name = |path: &str| vec![dir.path().join(path).into_os_string()];
        assert_eq!(find(&name("*.parquet")).unwrap(), [odd.as_path()]);
        assert_eq!(find(&name("*/*.parquet")).unwrap(), [inner.as_path()]);
        assert_eq!(find(&name("**/*.parquet")).unwrap(), [odd.as_path(), &inner]);
        assert_eq!(find(&name("")).unwrap(), [odd.as_path(), &inner]);
        assert_eq!(find(&[odd.clone().into_os_string()]).unwrap(), [odd]);
    }
}
