//! A value of any column, for renderers and exporters that go over all of them.

use super::columns::Event;
use super::types::Iovecs;

/// One value of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A truth value.
    Bool(bool),
    /// Text.
    Text(&'a str),
    /// Bytes as they were.
    Bytes(&'a [u8]),
    /// An iovec array.
    Iovecs(Iovecs<'a>),
    /// Microseconds since 1970, UTC.
    Micros(i64),
}

macro_rules! from {
    ($($native:ty => $cell:ident),+) => {
        $(impl<'a> From<$native> for Cell<'a> {
            fn from(value: $native) -> Self {
                Cell::$cell(value.into())
            }
        })+
    };
}

from!(i32 => Int, i64 => Int, u32 => Uint, u64 => Uint, bool => Bool, &'a str => Text, &'a [u8] => Bytes, Iovecs<'a> => Iovecs);

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

impl<'a> Event<'a> {
    /// Every column's name and value, in file order.
    pub fn cells(&self, mut visit: impl FnMut(&'static str, Cell<'a>)) {
        self.visit_cells(|name, cell| match (name, cell) {
            // The one instant among the numbers: `ts` shares its Rust type with them.
            ("ts", Cell::Int(micros)) => visit(name, Cell::Micros(micros)),
            _ => visit(name, cell),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::COLUMNS;
    use super::*;

    #[test]
    fn every_column_comes_once_in_file_order() {
        let mut names = Vec::new();
        let event = Event { ts: 5, pid: -1, liovcnt: Some(u64::MAX), ..Event::default() };
        event.cells(|name, cell| {
            match name {
                "ts" => assert_eq!(cell, Cell::Micros(5)),
                "pid" => assert_eq!(cell, Cell::Int(-1)),
                "liovcnt" => assert_eq!(cell, Cell::Uint(u64::MAX)),
                "errno" => assert_eq!(cell, Cell::Null),
                _ => {}
            }
            names.push(name);
        });
        assert_eq!(names, COLUMNS.iter().map(|c| c.name).collect::<Vec<_>>());
    }
}
