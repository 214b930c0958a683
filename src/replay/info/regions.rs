//! What became of the look-ups of mappings, in words.

use crate::count::{self, Count, grouped};
use crate::schema::manifest::RegionReadings;

/// `12 of 15 events; not known: 3 (mapped since); 2 readings, 30.1 KiB`.
pub(super) fn words(readings: &RegionReadings) -> String {
    let unnamed = readings.unnamed().fold(0u64, |sum, (count, _)| sum.saturating_add(count));
    let all = readings.named.saturating_add(unnamed);
    let causes: Vec<String> =
        readings.unnamed().map(|(count, cause)| format!("{} ({cause})", grouped(count))).collect();
    let not = if causes.is_empty() { String::new() } else { format!("; not known: {}", causes.join(", ")) };
    let (made, bytes) = (Count(readings.readings, "reading", "readings"), count::size(readings.bytes));
    format!("known of {} of {}{not}; {made}, {bytes}", grouped(readings.named), count::events(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_named_that_came() {
        let readings =
            RegionReadings { named: 1200, changed: 3, gone: 1, readings: 2, bytes: 2048, ..RegionReadings::default() };
        let wanted =
            "known of 1,200 of 1,204 events; not known: 3 (mapped since), 1 (the target was gone); 2 readings, 2,048 B";
        assert_eq!(words(&readings), wanted);
        let absurd = RegionReadings { named: u64::MAX, raced: u64::MAX, ..RegionReadings::default() };
        assert!(words(&absurd).starts_with("known of 18,446,744,073,709,551,615 of "));
    }
}
