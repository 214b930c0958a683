//! Which files are meant: captures by name, directories, and patterns. Owns no content of a file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::remote;

/// Directories below directories are entered this deep.
const MAX_DEPTH: usize = 32;
/// Captures taken at most.
pub const MAX_FILES: usize = 100_000;

/// The captures that `words` name, each once, those of a directory or pattern in order of their names.
///
/// # Errors
/// A pattern that is none or matches nothing, a directory without captures.
pub fn find(words: &[String]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for word in words {
        let path = Path::new(word);
        if is_url(path) {
            remote::find(word, &mut found)?;
        } else if path.is_dir() {
            let before = found.len();
            directory(path, 0, &mut found)?;
            ensure!(found.len() > before, "{word} holds no captures: no *.parquet in it");
        } else if !path.exists() && word.contains(['*', '?', '[']) {
            pattern(word, &mut found)?;
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

fn pattern(word: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    let before = found.len();
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    for path in glob::glob_with(word, options).with_context(|| format!("{word} is no pattern"))? {
        let path = path?;
        if path.is_file() {
            found.push(path);
        }
    }
    ensure!(found.len() > before, "{word} matches no file");
    Ok(())
}

/// Takes the `*.parquet` of a directory and of those in it; hidden ones and symbolic links to directories are left out.
fn directory(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if depth > MAX_DEPTH {
        bail!("{}: directories are nested more than {MAX_DEPTH} deep", path.display());
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().with_context(|| path.display().to_string())?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
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
        let name = |path: &str| dir.path().join(path).to_str().unwrap().to_string();
        let names = |words: &[String]| {
            let found = find(words).unwrap();
            found.iter().map(|p| p.strip_prefix(dir.path()).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        let all = ["a.parquet", "b.parquet", "sub/c.parquet"];
        assert_eq!(names(&[name("")]), all);
        assert_eq!(names(&[name("b.parquet"), name("*.parquet")]), ["b.parquet", "a.parquet"]);
        assert_eq!(names(&[name("**/c*")]), ["sub/c.parquet"]);
        assert!(find(&[name("z*")]).unwrap_err().to_string().ends_with("matches no file"));
        assert_eq!(names(&[name("missing.parquet")]), ["missing.parquet"], "opening it says that it is missing");
    }
}
