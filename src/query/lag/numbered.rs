//! Keys, each with a number of its own, from 0 on in the order in which they are met.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

/// Numbers of keys.
pub enum Numbered {
    /// Of one column of pids.
    Pids(Pids),
    /// Of any other, by the engine's hash tables.
    Keys(Box<dyn GroupValues>),
}

impl Numbered {
    /// For keys of the types of these.
    ///
    /// # Errors
    /// When keys of these types cannot be told apart.
    pub fn new(keys: &[ArrayRef]) -> Result<Self> {
        if matches!(keys, [pids] if pids.data_type() == &DataType::Int32) {
            return Ok(Numbered::Pids(Pids::default()));
        }
        let fields = keys.iter().map(|key| Field::new("", key.data_type().clone(), true)).collect::<Vec<_>>();
        Ok(Numbered::Keys(new_group_values(Arc::new(Schema::new(fields)), &GroupOrdering::None)?))
    }

    /// Puts the number of each row's key into `numbers`.
    ///
    /// # Errors
    /// When keys differ in type from the first ones.
    pub fn number(&mut self, keys: &[ArrayRef], numbers: &mut Vec<usize>) -> Result<()> {
        match self {
            Numbered::Keys(known) => known.intern(keys, numbers),
            Numbered::Pids(known) => {
                let pids = keys.first().and_then(|pids| pids.as_primitive_opt::<Int32Type>());
                let pids = pids.ok_or_else(|| internal_datafusion_err!("pids are not of their type"))?;
                numbers.clear();
                match pids.null_count() {
                    0 => numbers.extend(pids.values().iter().map(|pid| known.number(*pid))),
                    _ => numbers.extend(pids.iter().map(|pid| match pid {
                        Some(pid) => known.number(pid),
                        None => known.meet(None),
                    })),
                }
                Ok(())
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Numbered::Pids(known) => known.met.len(),
            Numbered::Keys(known) => known.len(),
        }
    }

    /// All keys, in the order of their numbers.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn finish(self) -> Result<Vec<ArrayRef>> {
        match self {
            Numbered::Pids(known) => Ok(vec![Arc::new(Int32Array::from(known.met))]),
            Numbered::Keys(mut known) => known.emit(EmitTo::All),
        }
    }

    /// Bytes of memory that they take.
    pub fn size(&self) -> usize {
        match self {
            Numbered::Pids(known) => known.size(),
            Numbered::Keys(known) => known.size(),
        }
    }
}

/// Pids beside one another, which are looked up together: processes that run together have pids of about the same size.
const PAGE: usize = 1024;

/// Pages for pids below 4,194,304 (`PID_MAX_LIMIT`, include/linux/threads.h, Linux 6.18).
const PAGES: usize = (4 << 20) / PAGE;

/// Pids by their number, without hashing: each is looked up in a table, other numbers than pids in a map.
#[derive(Default)]
pub struct Pids {
    met: Vec<Option<i32>>,
    /// Numbers from 1 on; 0 where a pid was not met.
    pages: Vec<Option<Box<[u32; PAGE]>>>,
    others: HashMap<Option<i32>, usize>,
}

impl Pids {
    #[inline]
    fn number(&mut self, pid: i32) -> usize {
        let place = usize::try_from(pid).unwrap_or(usize::MAX);
        let page = self.pages.get(place / PAGE).and_then(Option::as_ref);
        match page.and_then(|page| page.get(place % PAGE)) {
            Some(number) if *number > 0 => *number as usize - 1,
            _ => self.meet(Some(pid)),
        }
    }

    /// The number of a pid that is met for the first time, or is none.
    #[cold]
    fn meet(&mut self, pid: Option<i32>) -> usize {
        let next = self.met.len();
        let place = pid.and_then(|pid| usize::try_from(pid).ok()).filter(|pid| *pid < PAGE * PAGES);
        let known = match place {
            None => *self.others.entry(pid).or_insert(next),
            Some(pid) => {
                if self.pages.len() <= pid / PAGE {
                    self.pages.resize_with(pid / PAGE + 1, || None);
                }
                let page = self.pages.get_mut(pid / PAGE).map(|page| page.get_or_insert_with(|| Box::new([0; PAGE])));
                if let Some(number) = page.and_then(|page| page.get_mut(pid % PAGE)) {
                    // There are no more of them than 32 bits can number.
                    *number = next as u32 + 1;
                }
                next
            }
        };
        if known == next {
            self.met.push(pid);
        }
        known
    }

    fn size(&self) -> usize {
        let pages = self.pages.iter().flatten().count() * PAGE * size_of::<u32>();
        let others = self.others.capacity() * 2 * size_of::<(Option<i32>, usize)>();
        pages + others + self.pages.capacity() * size_of::<usize>() + self.met.capacity() * size_of::<Option<i32>>()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    /// Pids at the bounds of pages and of all pids, numbers that are none, null; alone and beside another column.
    #[test]
    fn keys_have_numbers_of_their_own() {
        let pids = [1, 0, -1, 1023, 1024, 4_194_303, 4_194_304, i32::MAX, i32::MIN].map(Some);
        let pids: Vec<_> = pids.into_iter().chain([None]).collect();
        let twice = Int32Array::from([&pids[..], &pids].concat());
        let text = StringViewArray::from_iter_values((0..20).map(|row| format!("process number {}", row % 10)));
        for keys in [vec![Arc::new(twice.clone()) as ArrayRef], vec![Arc::new(twice.clone()), Arc::new(text)]] {
            let mut numbered = Numbered::new(&keys).unwrap();
            let mut numbers = vec![7];
            for _ in 0..2 {
                numbered.number(&keys, &mut numbers).unwrap();
                assert_eq!(numbers, (0..10).chain(0..10).collect::<Vec<_>>());
            }
            assert_eq!(numbered.len(), 10);
            assert!(numbered.size() > 10 * 4 && numbered.size() < 1 << 20, "{}", numbered.size());
            assert_eq!(numbered.finish().unwrap().first().unwrap(), &(Arc::new(twice.slice(0, 10)) as ArrayRef));
        }
    }

    #[test]
    fn numbers_go_on_without_gaps() {
        let mut pids = Pids::default();
        let met: Vec<_> = [5, -5, 4_194_304, 6, 5, -5].into_iter().map(|pid| pids.number(pid)).collect();
        assert_eq!(met, [0, 1, 2, 3, 0, 1]);
    }
}
