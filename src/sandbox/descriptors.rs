//! Open files: as many as the system allows, and what is said where that is not enough.
//!
//! Readers open several files at a time. What fails since there are too many says nothing of the file that was to be read: such an
//! error must not pass for damage.

use std::io;

use anyhow::{Error, anyhow};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::terminal;

/// How errors end that say that too many files are open, here or in the whole system, also where they have become text on their way.
const TOO_MANY: [&str; 2] = ["(os error 24)", "(os error 23)"];
/// What stands behind the name of a file in such an error.
const BEHIND_NAMES: [&str; 4] =
    [": damaged;", ": the Parquet footer is damaged", ": Too many open files", ": External: "];

/// Lets this process have as many files open as it may. Programs that it starts inherit that.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    // As it was is good enough.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Writes an error to stderr, as [`terminal::report`] does.
pub fn report(error: &Error) {
    terminal::report(explained(error).as_ref().unwrap_or(error));
}

/// What an error says.
pub fn text(error: &Error) -> String {
    format!("{:#}", explained(error).as_ref().unwrap_or(error))
}

/// What `error` means if there are too many open files; `None` if it is another one.
fn explained(error: &Error) -> Option<Error> {
    let text = format!("{error:#}");
    let is_one = |cause: &io::Error| matches!(cause.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    let is_known = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(is_one);
    if !is_known && !TOO_MANY.iter().any(|end| text.ends_with(end)) {
        return None;
    }
    let end = BEHIND_NAMES.iter().filter_map(|behind| text.find(behind)).min();
    let name = end.and_then(|end| text.get(..end)).map(|name| format!("{name}: ")).unwrap_or_default();
    Some(anyhow!("{name}too many open files: allow more with `ulimit -n 4096`, or name fewer captures"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn too_many_open_files_are_no_damage() {
        let said = |error: &Error| explained(error).map(|error| error.to_string());
        let remedy = "too many open files: allow more with `ulimit -n 4096`, or name fewer captures";
        let bare = || io::Error::from_raw_os_error(libc::EMFILE);
        assert_eq!(said(&bare().into()), Some(remedy.into()));
        for what in ["damaged; the events before this point were read", "the Parquet footer is damaged"] {
            let within = Err::<(), _>(bare()).with_context(|| format!("a.parquet: {what}")).unwrap_err();
            assert_eq!(said(&within), Some(format!("a.parquet: {remedy}")));
            let text = anyhow!("a.parquet: {what}: Parquet argument error: External: {}", bare());
            assert_eq!(said(&text), Some(format!("a.parquet: {remedy}")));
        }
        let other = Err::<(), _>(io::Error::from_raw_os_error(libc::EIO)).context("a.parquet: damaged;").unwrap_err();
        assert_eq!(said(&other), None);
    }
}
