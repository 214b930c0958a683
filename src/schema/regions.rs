//! Regions of memory: the mappings in which the ranges of a call lie, and the column type that holds them.

use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, ListArray, StructArray, UInt64Array};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::ArrowError;
use arrow_schema::{DataType, Field, Fields};
use serde::{Deserialize, Serialize};

use super::build::{DictionaryColumn, Validity};
use super::types::{ColumnType, Words, dictionary_type};

/// A mapping of an address space, as /proc/PID/maps shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Its first address.
    pub start: u64,
    /// The address behind it.
    pub end: u64,
    /// `rwxp`, with `-` for what is not allowed, `s` where it is shared.
    pub perms: String,
    /// The file, or a name such as `[heap]`; empty where it has neither.
    pub path: String,
    /// Where in the file it begins.
    pub file_offset: u64,
    /// Device of the file, `major:minor` in hexadecimal.
    pub device: String,
    /// Inode of the file; 0 where there is none.
    pub inode: u64,
    /// Build id of an ELF file, in hexadecimal; empty where it is not known.
    pub build_id: String,
}

/// One region, borrowed. All is 0 and empty where no mapping was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region<'a> {
    /// See [`Mapping`].
    pub start: u64,
    /// See [`Mapping`].
    pub end: u64,
    /// See [`Mapping`].
    pub perms: &'a str,
    /// See [`Mapping`].
    pub path: &'a str,
    /// See [`Mapping`].
    pub file_offset: u64,
    /// See [`Mapping`].
    pub device: &'a str,
    /// See [`Mapping`].
    pub inode: u64,
    /// See [`Mapping`].
    pub build_id: &'a str,
}

impl<'a> Region<'a> {
    /// Whether a mapping was there.
    pub fn is_mapped(&self) -> bool {
        self.end > 0
    }

    /// Whether the program could write to it.
    pub fn is_writable(&self) -> bool {
        self.perms.as_bytes().get(1) == Some(&b'w')
    }

    /// Whether the program could execute it.
    pub fn is_executable(&self) -> bool {
        self.perms.as_bytes().get(2) == Some(&b'x')
    }

    /// The last part of its path, or its name; `None` where it has neither. A path whose last part looks like a name is whole.
    pub fn name(&self) -> Option<&'a str> {
        let last = self.path.rsplit('/').next().unwrap_or_default();
        let whole = self.path.starts_with('[') || last.starts_with('[');
        Some(if whole { self.path } else { last }).filter(|name| !name.is_empty())
    }

    /// Bytes that it takes in a file at most, where no text of it stands for several.
    pub fn bytes(&self) -> usize {
        let Region { perms, path, device, build_id, .. } = self;
        4 * size_of::<u64>()
            + [perms, path, device, build_id].iter().map(|text| size_of::<u32>() + text.len()).sum::<usize>()
    }
}

/// As in a list of them: `0x7f…-0x7f… r-xp /usr/lib/libc.so.6`; without addresses where these were removed.
impl fmt::Display for Region<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Region { start, end, perms, path, .. } = self;
        match (self.is_mapped(), *start) {
            (false, _) => return f.write_str("unmapped"),
            (true, 0) => write!(f, "{perms}")?,
            (true, _) => write!(f, "{start:#x}-{end:#x} {perms}")?,
        }
        if path.is_empty() { Ok(()) } else { write!(f, " {path}") }
    }
}

impl<'a> From<&'a Mapping> for Region<'a> {
    fn from(mapping: &'a Mapping) -> Self {
        let Mapping { start, end, perms, path, file_offset, device, inode, build_id } = mapping;
        let (start, end, file_offset, inode) = (*start, *end, *file_offset, *inode);
        Region { start, end, perms, path, file_offset, device, inode, build_id }
    }
}

/// The regions of several ranges, in their order.
#[derive(Clone, Copy, Debug)]
pub enum Regions<'a> {
    /// While recording.
    Known(&'a [Option<Arc<Mapping>>]),
    /// From a file: these rows of the columns.
    Columns(&'a RegionColumns, usize, usize),
}

impl<'a> Regions<'a> {
    /// Number of regions.
    pub fn len(&self) -> usize {
        match self {
            Regions::Known(known) => known.len(),
            Regions::Columns(_, start, end) => end.saturating_sub(*start),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The region at `index`.
    pub fn get(&self, index: usize) -> Option<Region<'a>> {
        match self {
            Regions::Known(known) => {
                known.get(index).map(|known| known.as_deref().map(Region::from).unwrap_or_default())
            }
            Regions::Columns(columns, start, end) => {
                start.checked_add(index).filter(|row| row < end).and_then(|row| columns.get(row))
            }
        }
    }

    /// All regions, in order.
    pub fn iter(self) -> impl Iterator<Item = Region<'a>> + 'a {
        (0..self.len()).map_while(move |i| self.get(i))
    }
}

/// All of them, with `; ` between.
impl fmt::Display for Regions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(index, region)| match index {
            0 => write!(f, "{region}"),
            _ => write!(f, "; {region}"),
        })
    }
}

impl PartialEq for Regions<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

/// Regions as `List<Struct<start, end, perms, path, file_offset, device, inode, build_id>>`, or null where they are not
/// known.
#[derive(Debug)]
pub struct OptRegions;

/// Builder of [`OptRegions`].
#[derive(Debug)]
pub struct RegionsColumn {
    offsets: Vec<i32>,
    numbers: [Vec<u64>; 4],
    texts: [DictionaryColumn; 4],
    items: usize,
    valid: Validity,
}

impl Default for RegionsColumn {
    fn default() -> Self {
        let (numbers, texts) = (Default::default(), Default::default());
        RegionsColumn { offsets: vec![0], numbers, texts, items: 0, valid: Validity::default() }
    }
}

/// What regions are read back from.
#[derive(Clone, Debug)]
pub struct RegionColumns {
    list: ListArray,
    rows: usize,
    /// Parts that were not read are 0 and empty.
    numbers: [Option<UInt64Array>; 4],
    texts: [Option<Words>; 4],
}

impl RegionColumns {
    fn get(&self, row: usize) -> Option<Region<'_>> {
        if row >= self.rows {
            return None;
        }
        let number = |of: &Option<UInt64Array>| of.as_ref().and_then(|of| of.values().get(row).copied());
        let [start, end, file_offset, inode] = self.numbers.each_ref().map(|of| number(of).unwrap_or(0));
        let [perms, path, device, build_id] =
            self.texts.each_ref().map(|of| of.as_ref().and_then(|of| of.get(row)).unwrap_or_default());
        Some(Region { start, end, perms, path, file_offset, device, inode, build_id })
    }
}

/// Names of the parts, in their order, and whether each is a text.
const PARTS: [(&str, bool); 8] = [
    ("start", false),
    ("end", false),
    ("perms", true),
    ("path", true),
    ("file_offset", false),
    ("device", true),
    ("inode", false),
    ("build_id", true),
];

fn fields() -> Fields {
    let data_type = |text: bool| if text { dictionary_type() } else { DataType::UInt64 };
    PARTS.iter().map(|(name, text)| Field::new(*name, data_type(*text), false)).collect()
}

/// As a reader names the paths alone, which are all that a name of a mapping takes.
pub const PATHS: &str = "remote_regions.list.item.path";

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(fields()), false))
}

impl ColumnType for OptRegions {
    type Value<'a> = Option<Regions<'a>>;
    type Builder = RegionsColumn;
    type Array = RegionColumns;
    const NULLABLE: bool = true;
    fn data_type() -> DataType {
        DataType::List(item())
    }
    /// Also with some of its parts alone.
    fn accepts(data_type: &DataType) -> bool {
        let DataType::List(item) = data_type else { return false };
        let DataType::Struct(parts) = item.data_type() else { return false };
        let all = fields();
        parts.iter().all(|part| all.find(part.name()).is_some_and(|(_, known)| known.data_type() == part.data_type()))
    }
    fn append(builder: &mut Self::Builder, value: Self::Value<'_>) {
        for region in value.into_iter().flat_map(Regions::iter) {
            let Region { start, end, perms, path, file_offset, device, inode, build_id } = region;
            let numbers = builder.numbers.iter_mut().zip([start, end, file_offset, inode]);
            numbers.for_each(|(column, number)| column.push(number));
            let texts = builder.texts.iter_mut().zip([perms, path, device, build_id]);
            texts.for_each(|(column, text)| column.append(Some(text)));
            builder.items += 1;
        }
        builder.offsets.push(builder.items as i32);
        builder.valid.push(value.is_some());
    }
    fn finish(builder: &mut Self::Builder) -> Result<ArrayRef, ArrowError> {
        let mut part = std::mem::take(builder);
        let mut numbers = part.numbers.into_iter().map(|column| Arc::new(UInt64Array::from(column)) as ArrayRef);
        let mut texts = part.texts.into_iter().map(|mut column| column.finish(false));
        let missing = || ArrowError::SchemaError("a region has fewer parts than it should".into());
        let columns = PARTS.iter().map(|(_, text)| match text {
            true => texts.next().ok_or_else(missing)?,
            false => numbers.next().ok_or_else(missing),
        });
        let items = StructArray::try_new(fields(), columns.collect::<Result<_, _>>()?, None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(part.offsets));
        let nulls = Some(part.valid.take());
        Ok(Arc::new(ListArray::try_new(item(), offsets, Arc::new(items), nulls)?))
    }
    fn typed(array: &dyn Array) -> Option<Self::Array> {
        let list = array.as_list_opt::<i32>()?.clone();
        let items = list.values().as_struct_opt()?;
        let number = |name| items.column_by_name(name)?.as_primitive_opt::<UInt64Type>().cloned();
        let text = |name| Words::of(items.column_by_name(name)?);
        let numbers = ["start", "end", "file_offset", "inode"].map(number);
        let texts = ["perms", "path", "device", "build_id"].map(text);
        let rows = items.len();
        Some(RegionColumns { list, rows, numbers, texts })
    }
    fn value(array: &Self::Array, row: usize) -> Self::Value<'_> {
        if array.list.is_null(row) {
            return None;
        }
        let offsets = array.list.value_offsets();
        let start = usize::try_from(*offsets.get(row)?).ok()?;
        let end = usize::try_from(*offsets.get(row + 1)?).ok()?;
        Some(Regions::Columns(array, start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_back_as_they_went_in() {
        let heap =
            Mapping { start: 1, end: u64::MAX, perms: "rw-p".into(), path: "[heap]".into(), ..Mapping::default() };
        let file = Mapping { path: "/a/b (deleted)".into(), inode: 7, device: "08:01".into(), ..heap.clone() };
        let known = [Some(Arc::new(heap)), None, Some(Arc::new(file))];
        let mut builder = RegionsColumn::default();
        let values = [None, Some(Regions::Known(&[])), Some(Regions::Known(&known)), Some(Regions::Known(&known[2..]))];
        values.iter().for_each(|value| OptRegions::append(&mut builder, *value));
        let array = OptRegions::finish(&mut builder).unwrap();
        assert_eq!(array.data_type(), &OptRegions::data_type());
        let typed = OptRegions::typed(&array).unwrap();
        for (row, value) in values.iter().enumerate() {
            assert_eq!(OptRegions::value(&typed, row), *value, "row {row}");
        }
        let again = OptRegions::value(&typed, 2).unwrap();
        assert!(!again.get(1).unwrap().is_mapped());
        assert_eq!(again.get(3), None);
        assert_eq!(
            again.iter().map(|region| region.name()).collect::<Vec<_>>(),
            [Some("[heap]"), None, Some("b (deleted)")]
        );
        assert!(again.get(0).unwrap().is_writable() && !again.get(0).unwrap().is_executable());
        let named = |path| Region { path, ..Region::default() }.name();
        assert_eq!(
            [named("/tmp/[heap]"), named("/memfd:[stack] (deleted)")],
            [Some("/tmp/[heap]"), Some("memfd:[stack] (deleted)")]
        );
    }
}
