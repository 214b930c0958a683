//! Which columns of a table are shown on a terminal, and how wide each is.
//!
//! Text is cut before columns are left out. Those in the middle are left out first: the first columns say what a row is about, the
//! last are often what was asked for.

/// Blanks between columns.
pub const BETWEEN: usize = 2;
/// Text is cut to that many columns before a column is left out.
const LEAST: usize = 12;

/// What a column would take.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Columns of its name.
    pub name: usize,
    /// Columns of its widest value.
    pub value: usize,
    /// Whether its values mean nothing when they are cut, such as numbers.
    pub is_firm: bool,
}

impl Wanted {
    /// What it takes if text is cut to `cap`.
    fn within(&self, cap: usize) -> usize {
        let value = if self.is_firm { self.value } else { self.value.min(cap) };
        value.max(self.name.min(cap))
    }
}

/// What is shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// How wide each of the first columns is.
    pub begin: Vec<usize>,
    /// How wide each of the last columns is. Between both, columns are left out, or none is.
    pub end: Vec<usize>,
}

/// What of `columns` has room in `width`.
pub fn fit(columns: &[Wanted], width: usize) -> Layout {
    let (begin, end) = kept(columns, width);
    let left_out = begin + end < columns.len();
    let [first, last] = [columns.get(..begin), columns.get(columns.len() - end..)].map(Option::unwrap_or_default);
    let fits = |cap: usize| total(first.iter().chain(last), cap, left_out) <= width;
    // The largest that fits: from LEAST on, which does, if any does.
    let (mut cap, mut beyond) = (LEAST.min(width), width + 1);
    while cap + 1 < beyond {
        let half = cap + (beyond - cap) / 2;
        if fits(half) { cap = half } else { beyond = half }
    }
    let widths = |columns: &[Wanted]| columns.iter().map(|column| column.within(cap).min(width)).collect();
    Layout { begin: widths(first), end: widths(last) }
}

/// How many of the first and of the last columns there is room for: all, or as many as fit beside the sign for the others.
fn kept(columns: &[Wanted], width: usize) -> (usize, usize) {
    if total(columns.iter(), LEAST, false) <= width {
        return (columns.len(), 0);
    }
    let fits = |begin: usize, end: usize| {
        let last = columns.iter().skip(columns.len().saturating_sub(end));
        begin + end < columns.len() && total(columns.iter().take(begin).chain(last), LEAST, true) <= width
    };
    let (mut begin, mut end) = (1, 0);
    loop {
        if begin > end && fits(begin, end + 1) {
            end += 1;
        } else if fits(begin + 1, end) {
            begin += 1;
        } else if fits(begin, end + 1) {
            end += 1;
        } else {
            return (begin, end);
        }
    }
}

/// What `columns` take with the blanks between them, and the sign for those that are left out.
fn total<'a>(columns: impl Iterator<Item = &'a Wanted>, cap: usize, left_out: bool) -> usize {
    let sign = left_out.then_some(1);
    let (count, sum) = columns
        .map(|column| column.within(cap))
        .chain(sign)
        .fold((0, 0_usize), |(count, sum), width| (count + 1, sum.saturating_add(width)));
    sum.saturating_add(BETWEEN * usize::saturating_sub(count, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: usize, value: usize) -> Wanted {
        Wanted { name, value, is_firm: false }
    }

    fn number(name: usize, value: usize) -> Wanted {
        Wanted { name, value, is_firm: true }
    }

    fn fitted(columns: &[Wanted], width: usize) -> (Vec<usize>, Vec<usize>) {
        let Layout { begin, end } = fit(columns, width);
        let shown = begin.len() + end.len();
        let sum: usize = begin.iter().chain(&end).sum();
        let left_out = shown < columns.len();
        let all = sum + BETWEEN * shown.saturating_sub(1) + if left_out { 1 + BETWEEN } else { 0 };
        assert!(all <= width || shown <= 1, "{all} of {width}: {begin:?} {end:?}");
        (begin, end)
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        assert_eq!(fitted(&[text(4, 9), number(5, 3)], 40), (vec![9, 5], vec![]));
        assert_eq!(fitted(&[], 40), (vec![], vec![]));
    }

    #[test]
    fn the_widest_text_is_cut_first_and_numbers_never() {
        assert_eq!(fitted(&[text(4, 100), text(4, 20), number(3, 19)], 80), (vec![37, 20, 19], vec![]));
        assert_eq!(fitted(&[text(4, 100), text(4, 100), number(3, 20)], 80), (vec![28, 28, 20], vec![]));
        assert_eq!(fitted(&[number(60, 5), number(60, 25)], 60), (vec![29, 29], vec![]), "names are");
    }

    #[test]
    fn columns_in_the_middle_are_left_out() {
        let (begin, end) = fitted(&[number(2, 20); 10], 80);
        assert_eq!((begin, end), (vec![20, 20], vec![20]));
        let (begin, end) = fitted(&[text(30, 90); 61], 80);
        assert_eq!((begin.len(), end.len()), (3, 2));
        let columns = [&[number(2, 4)][..], &[text(4, 30); 5], &[number(2, 70)]].concat();
        assert_eq!(fitted(&columns, 80), (vec![4], vec![70]), "beside a wide one at the end there is little room");
        let columns = [&[number(2, 4)][..], &[text(4, 30); 7], &[number(2, 90)]].concat();
        assert_eq!(fitted(&columns, 80).1, Vec::<usize>::new(), "for which there is no room at all");
    }

    #[test]
    fn one_column_is_always_there() {
        assert_eq!(fitted(&[number(2, 500), text(1, 1)], 40), (vec![40], vec![]));
        assert_eq!(fitted(&[text(300, 500)], 40), (vec![40], vec![]));
    }
}
