//! What adjusts a level: values that are kept, and columns that are left out.

use std::collections::HashSet;

use anyhow::{Result, bail, ensure};

use super::kinds::{KEPT, Kind};
use crate::schema::columns::{COLUMNS, ColumnSpec};
use crate::terminal::escape::SafeLine;

/// Columns that may be left out though they are never null: they read as `""` or 0.
const EMPTIED: [&str; 3] = ["comm", "start_ns", "data"];
/// Names that are suggested.
const SUGGESTED: usize = 3;
/// How like a name must be to be suggested.
const LIKE: f64 = 0.7;
/// Originals that are remembered for suggestions, and bytes of the longest.
const REMEMBERED: (usize, usize) = (10_000, 1_024);

/// The values that `--keep` names.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    values: HashSet<(Kind, String)>,
    met: HashSet<(Kind, String)>,
    others: HashSet<(Kind, String)>,
}

impl Keep {
    /// Reads `kind=NAME,…`, as often as it was given.
    ///
    /// # Errors
    /// One sentence: a kind that there is not, or no name.
    pub fn parse(given: &[String]) -> Result<Self> {
        let mut keep = Keep::default();
        for text in given {
            let all = || KEPT.iter().map(|kind| kind.name());
            let Some((kind, names)) = text.split_once('=') else {
                bail!("--keep {text}: give a kind and names, such as comm=NAME: kinds are {}", list(all()));
            };
            let Some(kind) = KEPT.iter().find(|known| known.name() == kind) else {
                bail!("--keep {text}: {kind} is no kind of value that can be kept: kinds are {}", list(all()));
            };
            for name in names.split(',').filter(|name| !name.is_empty()) {
                ensure!(
                    *kind != Kind::Uid || name.parse::<u32>().is_ok(),
                    "--keep {text}: {name} is no uid: give numbers"
                );
                keep.values.insert((*kind, name.to_string()));
            }
            ensure!(keep.values.iter().any(|(of, _)| of == kind), "--keep {text}: no name stands behind the =");
        }
        Ok(keep)
    }

    /// Whether a value is kept; it is noted that it occurs.
    pub fn keeps(&mut self, kind: Kind, value: &str) -> bool {
        if self.values.is_empty() {
            return false;
        }
        let entry = (kind, value.to_string());
        if self.values.contains(&entry) {
            self.met.insert(entry);
            return true;
        }
        if self.others.len() < REMEMBERED.0 && value.len() <= REMEMBERED.1 {
            self.others.insert(entry);
        }
        false
    }

    /// The options, as the manifest has them.
    pub fn options(&self) -> Vec<String> {
        let mut options: Vec<_> =
            self.met.iter().map(|(kind, value)| format!("--keep {}={value}", kind.name())).collect();
        options.sort();
        options
    }

    /// Whether every value that is to be kept has occurred.
    ///
    /// # Errors
    /// Names the first that has not, and what is like it.
    pub fn check_met(&self) -> Result<()> {
        let mut missing: Vec<_> = self.values.difference(&self.met).collect();
        missing.sort();
        let Some((kind, value)) = missing.first() else { return Ok(()) };
        let others = self.others.iter().filter(|(of, _)| of == kind).map(|(_, value)| value.as_str());
        bail!("--keep {}={value}: the capture has none{}", kind.name(), suggestion(value, others));
    }
}

/// The columns that `--drop` names.
///
/// # Errors
/// One sentence: a column that there is not, or one that readers need.
pub fn dropped(given: &[String]) -> Result<Vec<&'static str>> {
    let mut columns = Vec::new();
    for name in given {
        let can_drop = |column: &&ColumnSpec| column.nullable || EMPTIED.contains(&column.name);
        let Some(column) = COLUMNS.iter().find(|column| column.name == name) else {
            bail!("--drop {name}: no column has this name{}", suggestion(name, COLUMNS.iter().map(|c| c.name)));
        };
        ensure!(
            can_drop(&column),
            "--drop {name}: readers need this column in every row; leave it, or slice the capture"
        );
        columns.push(column.name);
    }
    columns.sort_unstable();
    columns.dedup();
    Ok(columns)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// `: did you mean a, b?`, or nothing.
fn suggestion<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut near: Vec<(f64, &str)> = names.map(|name| (strsim::jaro_winkler(wanted, name), name)).collect();
    near.retain(|(likeness, _)| *likeness >= LIKE);
    near.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    match near.is_empty() {
        true => String::new(),
        false => {
            let near: Vec<String> = near.iter().take(SUGGESTED).map(|(_, name)| SafeLine(name).to_string()).collect();
            format!(": did you mean {}?", near.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &[&str]) -> Result<Keep> {
        Keep::parse(&given.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn said<T>(result: Result<T>) -> String {
        result.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn values_are_kept_by_kind() {
        let mut keep = parse(&["comm=spy,victim", "uid=1000"]).unwrap();
        assert!(keep.keeps(Kind::Comm, "spy") && !keep.keeps(Kind::Path, "spy") && !keep.keeps(Kind::Comm, "victims"));
        assert_eq!(said(keep.check_met()), "--keep comm=victim: the capture has none: did you mean victims?");
        assert!(keep.keeps(Kind::Comm, "victim") && keep.keeps(Kind::Uid, "1000"));
        keep.check_met().unwrap();
        assert_eq!(keep.options(), ["--keep comm=spy", "--keep comm=victim", "--keep uid=1000"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_a_sentence() {
        assert!(said(parse(&["spy"])).contains("such as comm=NAME"));
        assert!(said(parse(&["name=spy"])).contains("kinds are comm, path"));
        assert!(said(parse(&["comm="])).contains("no name"));
        assert!(said(parse(&["uid=joe"])).contains("give numbers"));
        let drop = |name: &str| dropped(&[name.to_string()]);
        assert_eq!(drop("exe").unwrap(), ["exe"]);
        assert_eq!(drop("comm").unwrap(), ["comm"]);
        assert!(said(drop("seq")).contains("readers need"));
        assert!(said(drop("exes")).contains("did you mean exe"), "{}", said(drop("exes")));
        assert!(said(drop("zzz")).ends_with("no column has this name"));
    }
}
