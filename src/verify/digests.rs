//! Computes the digest chain and the seal of a file again from its bytes.
//!
//! Owns the comparison. Reads every byte of the file once, and trusts the footer only as far as the digests confirm it.

use std::fs::File;
use std::ops::Range;

use anyhow::{Context, Result, ensure};

use super::report::{FindingKind, Report};
use crate::count::{self, Count};
use crate::sandbox::descriptors;
use crate::schema::chain::{self, Chain, Digest, Link};
use crate::schema::partial::{self, Begin};
use crate::schema::reader::Capture;
use crate::schema::seal::Seal;

/// Compares every byte with what the file says was digested.
pub fn check(capture: &Capture, report: &mut Report) {
    let (Some(chain), Some(root)) = (capture.chain(), capture.root()) else {
        let (kind, what) = match (capture.chain(), capture.root()) {
            (None, None) => {
                (FindingKind::Unreadable, "has no digests: an older vmtrace wrote it, or they were removed")
            }
            _ => (FindingKind::Altered, "has only a part of its digests: the footer is altered"),
        };
        return report.add(kind, what);
    };
    let begin = match partial::begin(capture.file()) {
        Ok(begin) => begin,
        Err(error) => return report.add(FindingKind::Altered, format!("{error:#}")),
    };
    if begin.link.to_string() != chain.begin {
        report.add(FindingKind::Altered, "the manifest at its start is not the one that the chain begins with");
    }
    if begin.manifest.capture_id != capture.manifest().capture_id {
        report.add(FindingKind::Altered, "the manifests at its start and in its footer are of different captures");
    }
    if let Err(error) = fits(chain, &begin, capture) {
        return report.add(FindingKind::Altered, format!("{error:#}"));
    }
    if let Err(error) = compare(capture, chain, root, report) {
        report.add(FindingKind::Unreadable, descriptors::text(&error));
    }
}

/// Whether the chain speaks of the row groups that the footer lists, so that each byte is digested exactly once.
fn fits(chain: &Chain, begin: &Begin, capture: &Capture) -> Result<()> {
    let groups = capture.row_group_count();
    ensure!(
        chain.groups.len() == groups,
        "{} chained by {}",
        count::row_groups(groups),
        Count(chain.groups.len() as u64, "link", "links")
    );
    let mut free = begin.end;
    for (index, link) in chain.groups.iter().enumerate() {
        let (rows, columns) = capture.row_group(index).context("a row group is missing")?;
        ensure!(link.rows == rows, "row group {index} has {}, in the chain {}", count::rows(rows), link.rows);
        let end = link.at.checked_add(link.len).filter(|end| *end <= capture.size());
        let end = end.with_context(|| format!("row group {index} ends outside of the file"))?;
        ensure!(link.at >= free, "row group {index} begins within what is before it");
        let inside = columns.start >= link.at && columns.end <= end;
        ensure!(inside, "row group {index} is not where the chain says");
        free = end;
    }
    Ok(())
}

fn compare(capture: &Capture, chain: &Chain, root: &str, report: &mut Report) -> Result<()> {
    let file = capture.file();
    let mut seal = Seal::default();
    let mut previous = chain.begin.clone();
    let mut at = 0;
    let mut first_row = 0u64;
    for (index, link) in chain.groups.iter().enumerate() {
        let body = link.at..link.at.saturating_add(link.len);
        seal.add_range(file, &(at..body.start))?;
        at = body.end;
        let last_row = first_row.saturating_add(link.rows).saturating_sub(1);
        let rows = format!("row group {index} (rows {first_row} to {last_row})");
        if !is_link(file, &previous, link, body).with_context(|| format!("{rows} cannot be read"))? {
            report.add_of(FindingKind::Altered, index, format!("{rows}: its bytes are not those that were digested"));
        }
        previous.clone_from(&link.link);
        first_row = first_row.saturating_add(link.rows);
    }
    seal.add_end(file, &(at..capture.size()), root)?;
    if seal.root().to_string() != root {
        let parts = "manifest, chain, footer, page index, descriptions of row groups";
        report.add(
            FindingKind::Altered,
            format!("bytes outside of the row groups ({parts}) are not those that were digested"),
        );
    }
    Ok(())
}

/// Whether `link` follows from the link before it, as that is stored, and the bytes of `body`.
fn is_link(file: &File, previous: &str, link: &Link, body: Range<u64>) -> Result<bool> {
    let digest = partial::digest(file, &body)?;
    let Ok(previous) = Digest::from_hex(previous) else { return Ok(false) };
    Ok(chain::link(&previous, &digest, link.rows, &link.clocks).to_string() == link.link)
}
