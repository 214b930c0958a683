//! Makes a bundle that is no larger than it may be, by rules that README.txt repeats: pages become smaller first, then captured bytes are left
//! out, then the beginning of the recording.

use std::fs::File;

use anyhow::{Result, bail};

use super::contents::{self, Contents};
use super::pack;
use super::parts::{Part, Whole};
use crate::count;
use crate::derive::redact::{Level, Redaction};
use crate::schema::limits::Limits;

/// The largest page of a capture.
const PAGE: u64 = 10 << 20;
/// Where there is little room, all pages together get this part of it.
const PAGES: u64 = 5;
/// How often shorter slices are tried.
const ROUNDS: u32 = 6;

/// A bundle that has been written.
#[derive(Debug)]
pub struct Fitted {
    /// Its captures.
    pub parts: Vec<Part>,
    /// Its bytes.
    pub size: u64,
    contents: Contents,
}

impl Fitted {
    /// What was left out, a sentence each.
    pub fn left_out(&self) -> impl Iterator<Item = &String> {
        self.parts.iter().flat_map(|part| &part.left_out).chain(&self.contents.left_out)
    }
}

/// Writes a bundle of at most `most` bytes into `out`.
///
/// # Errors
/// When that is not enough for anything, when a capture cannot be read, or `out` cannot be written.
pub fn fit(parts: Vec<Part>, most: u64, limits: Limits, out: &File) -> Result<Fitted> {
    let mut fitting = Fitting { parts, most, limits, out, page: Some(PAGE) };
    if let Some(fitted) = fitting.pages()? {
        return Ok(fitted);
    }
    if fitting.parts.iter().any(Part::has_payload) {
        let redaction = Redaction::new(Level::Payload, None)?;
        let with_payload = fitting.parts.iter_mut().filter(|part| part.has_payload());
        with_payload.into_iter().try_for_each(|part| part.drop_payload(&redaction, limits))?;
        fitting.page = Some(PAGE);
        if let Some(fitted) = fitting.pages()? {
            return Ok(fitted);
        }
    }
    fitting.slices()
}

struct Fitting<'a> {
    parts: Vec<Part>,
    most: u64,
    limits: Limits,
    out: &'a File,
    page: Option<u64>,
}

impl Fitting<'_> {
    fn captures(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.size))
    }

    /// Makes the bundle; `Err` of the result is the size that it would have.
    fn attempt(&self) -> Result<Result<Fitted, u64>> {
        let contents = contents::of(&self.parts, self.page, self.limits)?;
        let size = pack::write(self.out, &contents.files)?;
        if size > self.most {
            return Ok(Err(size));
        }
        Ok(Ok(Fitted { parts: self.parts.clone(), size, contents }))
    }

    /// Tries with large pages, then with small ones. The page that is left is the smallest.
    fn pages(&mut self) -> Result<Option<Fitted>> {
        let small = (self.most / PAGES / (self.parts.len() as u64).max(1)).min(PAGE);
        for page in [PAGE, small] {
            self.page = Some(page);
            // Where the captures alone are too large, no page needs to be made.
            if self.captures() < self.most
                && let Ok(fitted) = self.attempt()?
            {
                return Ok(Some(fitted));
            }
        }
        Ok(None)
    }

    /// Tries with slices, shorter each time.
    fn slices(mut self) -> Result<Fitted> {
        let wholes: Vec<Whole> = self.parts.iter().map(|part| part.keep_whole(self.limits)).collect::<Result<_>>()?;
        let mut room = self.most - self.most / PAGES;
        for round in 1..=ROUNDS {
            let share = share(wholes.iter().map(|whole| whole.size).collect(), room);
            for (part, whole) in self.parts.iter_mut().zip(&wholes) {
                if whole.size <= share {
                    continue;
                }
                if let Err(smallest) = part.cut(whole, share, self.limits)? {
                    let (most, smallest) = (count::size(self.most), count::size(smallest));
                    bail!(
                        "--max-size: {most} leave no room for {}, of which the smallest part has {smallest}: give more",
                        part.name
                    );
                }
            }
            match self.attempt()? {
                Ok(fitted) => return Ok(fitted),
                Err(size) => {
                    room = room.saturating_sub(size - self.most).saturating_sub(room / 50);
                }
            }
            // The pages may be what is too large.
            if round == ROUNDS / 2 {
                self.page = None;
            }
        }
        bail!("--max-size: {} are not enough for a part of each capture: give more", count::size(self.most))
    }
}

/// What each of several captures may have of `room`: those that need less leave the rest to the others.
fn share(mut sizes: Vec<u64>, room: u64) -> u64 {
    sizes.sort_unstable();
    let mut left = room;
    let mut share = 0;
    for (at, size) in sizes.iter().enumerate() {
        share = left / (sizes.len() - at) as u64;
        if *size > share {
            return share;
        }
        left -= size;
    }
    share.max(sizes.last().copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_captures_leave_room_to_large_ones() {
        assert_eq!(share(vec![100, 100], 100), 50);
        assert_eq!(share(vec![1_000, 10], 100), 90);
        assert_eq!(share(vec![10, 1_000, 20, 1_000], 100), 35);
        assert_eq!(share(vec![10, 20], 100), 90);
        assert_eq!((share(vec![10], 0), share(vec![], 5)), (0, 0));
    }
}
