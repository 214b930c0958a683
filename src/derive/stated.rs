//! How much a manifest may state for a capture to be made of it: what its hosts state is compared line by line.

use anyhow::{Result, ensure};

use crate::count;
use crate::schema::Manifest;
use crate::schema::limits::{
    MAX_STATED, MAX_STATED_BYTES, MAX_STATED_EVENTS, MAX_STATED_FAMILIES, MAX_STATED_GAPS, MAX_STATED_LEDGER,
    MAX_STATED_STEPS,
};

/// Lists of a manifest.
const LISTS: usize = 5;
/// What they are of.
const NAMES: [&str; LISTS] = ["gaps", "kinds of events", "families", "lines of a ledger", "steps of its making"];
/// Lines of each, of one host.
const OF_HOST: [usize; LISTS] =
    [MAX_STATED_GAPS, MAX_STATED_EVENTS, MAX_STATED_FAMILIES, MAX_STATED_LEDGER, MAX_STATED_STEPS];

/// Whether the manifests of captures that are put together, or of one, state no more than recorders do.
///
/// # Errors
/// What there is too much of.
pub fn check<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Result<()> {
    let mut all = Lists::default();
    for manifest in manifests {
        // What a capture of several hosts says as one is made of what these say.
        let one = Lists::of(manifest);
        one.check(if manifest.hosts.is_empty() { &OF_HOST } else { &[MAX_STATED; LISTS] })?;
        for part in &manifest.hosts {
            let of_host = Lists::of(&part.manifest);
            of_host.check(&OF_HOST)?;
            all.add(&of_host);
        }
        if manifest.hosts.is_empty() {
            all.add(&one);
        }
    }
    // The others are compared with those of one host.
    all.check(&[MAX_STATED, usize::MAX, MAX_STATED, usize::MAX, MAX_STATED])
}

/// How long the lists of a manifest are.
#[derive(Default)]
struct Lists {
    lines: [usize; LISTS],
    bytes: usize,
}

impl Lists {
    fn of(manifest: &Manifest) -> Self {
        let Manifest { gaps, filters, families, ledger, derived_from, .. } = manifest;
        let bytes = gaps.iter().chain(families.iter().map(|family| &family.family)).map(String::len);
        Lists {
            lines: [gaps.len(), filters.events.len(), families.len(), ledger.len(), derived_from.len()],
            bytes: bytes.fold(0, usize::saturating_add),
        }
    }

    fn add(&mut self, other: &Lists) {
        self.lines.iter_mut().zip(other.lines).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn check(&self, most: &[usize; LISTS]) -> Result<()> {
        for ((what, found), most) in NAMES.iter().zip(self.lines).zip(most) {
            ensure!(
                found <= *most,
                "the manifest states {} {what}, and at most {} can be put together: no recorder states so many",
                count::grouped(found as u64),
                count::grouped(*most as u64)
            );
        }
        ensure!(
            self.bytes <= MAX_STATED_BYTES,
            "the manifest states gaps of {} bytes, and at most {} can be put together: no recorder states so much",
            count::grouped(self.bytes as u64),
            count::grouped(MAX_STATED_BYTES as u64)
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::derived::Derivation;
    use crate::schema::hosts::HostPart;
    use crate::schema::manifest::{FamilyReport, Filters, LedgerRow};

    fn stating(gaps: usize, bytes: usize) -> Manifest {
        Manifest { gaps: vec!["g".repeat(bytes); gaps], ..Manifest::default() }
    }

    fn of_hosts(hosts: usize, gaps: usize) -> Manifest {
        let part = HostPart { manifest: stating(gaps, 1), ..HostPart::default() };
        Manifest { hosts: vec![part; hosts], ..Manifest::default() }
    }

    #[test]
    fn each_list_is_as_long_as_it_may_be_and_no_longer() {
        let gaps = |many| Manifest { gaps: vec!["g".into(); many], ..Manifest::default() };
        let events = |many| {
            let filters = Filters { events: vec!["e".into(); many], ..Filters::default() };
            Manifest { filters, ..Manifest::default() }
        };
        let families = |many| Manifest { families: vec![FamilyReport::default(); many], ..Manifest::default() };
        let ledger = |many| Manifest { ledger: vec![LedgerRow::default(); many], ..Manifest::default() };
        let steps = |many| Manifest { derived_from: vec![Derivation::default(); many], ..Manifest::default() };
        let lists: [(usize, &dyn Fn(usize) -> Manifest); LISTS] = [
            (MAX_STATED_GAPS, &gaps),
            (MAX_STATED_EVENTS, &events),
            (MAX_STATED_FAMILIES, &families),
            (MAX_STATED_LEDGER, &ledger),
            (MAX_STATED_STEPS, &steps),
        ];
        for ((most, of), name) in lists.into_iter().zip(NAMES) {
            let in_host = |many| {
                let part = HostPart { manifest: of(many), ..HostPart::default() };
                Manifest { hosts: vec![part], ..Manifest::default() }
            };
            for manifest in [of(most), in_host(most)] {
                assert!(check([&manifest]).is_ok(), "{name}");
            }
            for manifest in [of(most + 1), in_host(most + 1)] {
                let said = check([&manifest]).unwrap_err().to_string();
                assert!(said.starts_with("the manifest states ") && said.contains(name), "{said}");
            }
        }
    }

    #[test]
    fn all_hosts_together_state_so_much() {
        let of_all = |gaps: usize| {
            let (whole, rest) = (gaps / MAX_STATED_GAPS, gaps % MAX_STATED_GAPS);
            let parts = (0..whole).map(|_| MAX_STATED_GAPS).chain([rest]);
            let parts = parts.map(|gaps| HostPart { manifest: stating(gaps, 1), ..HostPart::default() });
            Manifest { hosts: parts.collect(), ..Manifest::default() }
        };
        assert!(check([&of_all(MAX_STATED)]).is_ok());
        let said = check([&of_all(MAX_STATED + 1)]).unwrap_err().to_string();
        assert!(said.starts_with("the manifest states 16,385 gaps, and at most 16,384"), "{said}");
        assert!(check([&stating(4, MAX_STATED_BYTES / 4)]).is_ok());
        let said = check([&stating(1, MAX_STATED_BYTES + 1)]).unwrap_err().to_string();
        assert!(said.starts_with("the manifest states gaps of 4,194,305 bytes, and at most 4,194,304"), "{said}");
    }

    #[test]
    fn a_thousand_hosts_may_state_what_recorders_state_and_no_more() {
        assert!(check([&of_hosts(1_024, 16)]).is_ok());
        assert!(check([&of_hosts(1, 1_024), &stating(1, 1)]).is_ok());
        for bad in [of_hosts(1_024, 17), of_hosts(2, 1_025), stating(MAX_STATED + 1, 1), stating(5, 1 << 20)] {
            assert!(check([&bad]).unwrap_err().to_string().contains("no recorder states so m"));
        }
        let half = of_hosts(513, 16);
        assert!(check([&half]).is_ok() && check([&half, &half]).is_err(), "of all captures together");
    }
}
