//! A value of any column, for renderers and exporters that iterate over all of them.

use super::regions::Regions;
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
    /// Regions of memory.
    Regions(Regions<'a>),
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

from!(i32 => Int, i64 => Int, u32 => Uint, u64 => Uint, bool => Bool, &'a str => Text, &'a [u8] => Bytes, Iovecs<'a> => Iovecs, Regions<'a> => Regions);

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}
