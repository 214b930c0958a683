//! `vmtrace verify`: whether captures are what was recorded, and complete. Offline, without privileges.
//!
//! Data flows one way: a file → its digests, its contents, its position among others, its signature → a report. Each
//! check adds its findings to the report; none decides what follows. docs/INTEGRITY.md describes what this proves.

mod contents;
mod digests;
mod hosts;
mod report;
mod segments;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::Utc;

use self::report::FindingKind;
pub use self::report::Report;
use self::segments::FileFacts;
use crate::archive;
use crate::count;
use crate::sandbox::{Needs, Sandbox, descriptors};
use crate::schema::file::{Links, open_regular};
use crate::schema::limits::{AllowLarge, Limits};
use crate::schema::partial;
use crate::schema::reader::Capture;
use crate::schema::sign::allowed::AllowedSigners;
use crate::schema::sign::{Checked, Signature};
use crate::terminal::{Format, json_line, status};

/// Options of `vmtrace verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Checks all bytes against the digest chain and the seal, the ledger, the numbers of the rows and \
the clocks; for several files of one recording, also that each follows the one before. This proves that a file is \
the one whose root digest was noted, or that was signed; without either, only that it was not damaged by accident.\n\
Exit status: 0 intact and complete; 3 intact, but it records loss, or a file between those given is missing; 1 altered; \
2 it cannot be read, or there is nothing to check it against. Of a derived capture (slice, merge, redact), it says what that \
was made from, as the file states it; complete means then that no loss is recorded."
)]
pub struct Args {
    /// Captures to verify; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Require FILE.sig to be a signature by one of these (ssh-keygen(1), ALLOWED SIGNERS)
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
    /// Require it to be the signature of PRINCIPAL
    #[arg(short = 'I', long, requires = "allowed_signers", value_name = "PRINCIPAL")]
    identity: Option<String>,
    /// Output format
    #[arg(short = 'T', long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// Runs `vmtrace verify`; returns the exit status.
///
/// # Errors
/// When the allowed signers cannot be read or the output cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    args.sandbox.enter(&Needs::reading(&args.files).and_reading(&args.allowed_signers));
    let allowed = args.allowed_signers.as_deref().map(AllowedSigners::load).transpose()?;
    let limits = args.large.limits();
    let files = archive::files(&args.files)?;
    let known: Vec<Option<FileFacts>> = files.iter().map(|path| FileFacts::of(path, limits)).collect();
    let mut worst = status::OK;
    for (path, this) in files.iter().zip(&known) {
        let mut report = examine(path, limits);
        if let Some(this) = this {
            segments::check(this, &known, &mut report);
        }
        if let Some(allowed) = &allowed {
            check_signature(path, allowed, args.identity.as_deref(), &mut report);
        }
        report.conclude();
        let mut text = Vec::new();
        match args.format {
            Format::Json => json_line(&mut text, &report)?,
            Format::Text => text.extend(report.render().bytes()),
        }
        std::io::stdout().write_all(&text)?;
        worst = worse(worst, report.status);
    }
    Ok(worst)
}

/// Verifies one file by itself.
pub fn file(path: &Path) -> Report {
    let mut report = examine(path, Limits::default());
    report.conclude();
    report
}

fn examine(path: &Path, limits: Limits) -> Report {
    let mut report = Report { file: path.display().to_string(), ..Report::default() };
    match Capture::open_within(path, limits) {
        Ok(capture) => {
            report.file = capture.path().display().to_string();
            report.root = capture.root().map(str::to_string);
            report.row_groups = Some(capture.row_group_count());
            report.rows = Some(capture.rows());
            report.derived_from.clone_from(&capture.manifest().derived_from);
            digests::check(&capture, &mut report);
            contents::check(&capture, &mut report);
        }
        Err(error) => {
            report.add(FindingKind::Unreadable, descriptors::text(&error));
            note_what_is_whole(path, &mut report);
        }
    }
    report
}

/// Of a file without footer: what can be saved.
fn note_what_is_whole(path: &Path, report: &mut Report) {
    let Ok(Some(file)) = open_regular(path, Links::Follow) else { return };
    let Ok(partial) = partial::read(&file) else { return };
    let rows = partial.groups.iter().fold(0u64, |sum, group| sum.saturating_add(group.rows));
    let groups = partial.groups.len();
    let whole = format!("{} with {} can be saved", count::row_groups(groups), count::rows(rows));
    report
        .add(FindingKind::Note, format!("{whole}: `vmtrace recover` does that, with what the journal beside it holds"));
}

fn check_signature(path: &Path, allowed: &AllowedSigners, identity: Option<&str>, report: &mut Report) {
    if archive::is_in_archive(path) {
        let name = path.display();
        return report.add(FindingKind::Unreadable, format!("{name} has no signature beside it: unzip the archive"));
    }
    match Signature::check(path) {
        Err(error) => report.add(FindingKind::Unreadable, format!("{error:#}")),
        Ok(Checked::Bad(why)) => report.add(FindingKind::Altered, format!("the signature is not good: {why}")),
        Ok(Checked::Fits(signature)) => match allowed.allow(&signature, identity, Utc::now()) {
            Ok(principal) => report.signed_by = Some(format!("{principal} with {}", signature.key())),
            Err(why) => {
                report.add(FindingKind::Altered, format!("the signature ({}) does not count: {why}", signature.key()));
            }
        },
    }
}

/// Altered is worse than unreadable, that is worse than incomplete.
pub fn worse(a: u8, b: u8) -> u8 {
    let order = [status::ALTERED, status::ERROR, status::LOSS];
    order.into_iter().find(|status| [a, b].contains(status)).unwrap_or(status::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_file_decides() {
        assert_eq!(worse(status::OK, status::OK), status::OK);
        assert_eq!(worse(status::LOSS, status::OK), status::LOSS);
        assert_eq!(worse(status::LOSS, status::ERROR), status::ERROR);
        assert_eq!(worse(status::ALTERED, status::ERROR), status::ALTERED);
    }
}
