//! The form of Parquet's own structures, walked through before the Parquet library reads them.
//!
//! The library allocates memory according to the numbers it finds: the pages of an index, the children of a group. Here
//! every list is compared with the bytes that are there, and what the library will allocate is counted. Owns the form
//! of the structures (parquet.thrift of parquet-format) as far as the library knows them, not their meaning.

use super::thrift::{BINARY, BYTE, DOUBLE, FALSE, INT16, INT32, INT64, Input, LIST, STRUCT, TRUE};

/// Structures that somebody looks into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A structure of which only the form matters.
    Other,
    File,
    SchemaElement,
    ColumnChunk,
    Page,
    DataPage,
    DictionaryPage,
    DataPageV2,
}

/// A structure: who it is, what it takes in memory once the library has read it, and its fields by their ids. Fields
/// that are not listed are left out by the library, too.
#[derive(Debug)]
pub(super) struct Struct {
    of: Of,
    memory: u64,
    fields: &'static [(i16, Form)],
}

#[derive(Debug)]
enum Form {
    Bool,
    Byte,
    Int16,
    Int32,
    Int64,
    Double,
    Binary,
    List(&'static Form),
    Struct(&'static Struct),
}

/// Takes what a walk meets.
pub(super) trait Visit {
    /// A number of a structure, by its field's id.
    fn number(&mut self, _of: Of, _field: i16, _value: i64) -> Option<()> {
        Some(())
    }

    /// A truth value, likewise.
    fn truth(&mut self, _of: Of, _field: i16, _value: bool) {}

    /// So many bytes, likewise.
    fn bytes(&mut self, _of: Of, _field: i16, _length: u64) -> Option<()> {
        Some(())
    }

    /// A list of a structure begins.
    fn list(&mut self, _of: Of, _field: i16, _count: u64) -> Option<()> {
        Some(())
    }

    /// A structure begins.
    fn begin(&mut self, _of: Of) -> Option<()> {
        Some(())
    }

    /// A structure ends.
    fn end(&mut self, _of: Of) -> Option<()> {
        Some(())
    }
}

/// Nobody looks.
impl Visit for () {}

/// What a heap allocation costs beside its content: its owner's fields, and the allocator's.
const OWNED: u64 = 40;

const fn form(memory: u64, fields: &'static [(i16, Form)]) -> Struct {
    Struct { of: Of::Other, memory, fields }
}

const EMPTY: Struct = form(0, &[]);
const UNIT: Struct = form(0, &[(1, Form::Struct(&EMPTY)), (2, Form::Struct(&EMPTY)), (3, Form::Struct(&EMPTY))]);
const MOMENT: Struct = form(0, &[(1, Form::Bool), (2, Form::Struct(&UNIT))]);
const LOGICAL: Struct = form(
    0,
    &[
        (1, Form::Struct(&EMPTY)),
        (2, Form::Struct(&EMPTY)),
        (3, Form::Struct(&EMPTY)),
        (4, Form::Struct(&EMPTY)),
        (5, Form::Struct(&form(0, &[(1, Form::Int32), (2, Form::Int32)]))),
        (6, Form::Struct(&EMPTY)),
        (7, Form::Struct(&MOMENT)),
        (8, Form::Struct(&MOMENT)),
        (10, Form::Struct(&form(0, &[(1, Form::Byte), (2, Form::Bool)]))),
        (11, Form::Struct(&EMPTY)),
        (12, Form::Struct(&EMPTY)),
        (13, Form::Struct(&EMPTY)),
        (14, Form::Struct(&EMPTY)),
        (15, Form::Struct(&EMPTY)),
        (16, Form::Struct(&form(0, &[(1, Form::Byte)]))),
        (17, Form::Struct(&form(0, &[(1, Form::Binary)]))),
        (18, Form::Struct(&form(0, &[(1, Form::Binary), (2, Form::Int32)]))),
    ],
);
/// With what becomes of it: a node of the tree, a descriptor of the column, a field of Arrow's schema.
const SCHEMA_ELEMENT: Struct = Struct {
    of: Of::SchemaElement,
    memory: 1500,
    fields: &[
        (1, Form::Int32),
        (2, Form::Int32),
        (3, Form::Int32),
        (4, Form::Binary),
        (5, Form::Int32),
        (6, Form::Int32),
        (7, Form::Int32),
        (8, Form::Int32),
        (9, Form::Int32),
        (10, Form::Struct(&LOGICAL)),
    ],
};
const STATISTICS: Struct = form(
    0,
    &[
        (1, Form::Binary),
        (2, Form::Binary),
        (3, Form::Int64),
        (4, Form::Int64),
        (5, Form::Binary),
        (6, Form::Binary),
        (7, Form::Bool),
        (8, Form::Bool),
    ],
);
const BOX: Struct = form(
    0,
    &[
        (1, Form::Double),
        (2, Form::Double),
        (3, Form::Double),
        (4, Form::Double),
        (5, Form::Double),
        (6, Form::Double),
        (7, Form::Double),
        (8, Form::Double),
    ],
);
const ENCODING_STATS: Struct = form(16, &[(1, Form::Int32), (2, Form::Int32), (3, Form::Int32)]);
const SIZES: Struct = form(0, &[(1, Form::Int64), (2, Form::List(&Form::Int64)), (3, Form::List(&Form::Int64))]);
const COLUMN: Struct = form(
    0,
    &[
        (1, Form::Int32),
        (2, Form::List(&Form::Int32)),
        (3, Form::List(&Form::Binary)),
        (4, Form::Int32),
        (5, Form::Int64),
        (6, Form::Int64),
        (7, Form::Int64),
        (8, Form::List(&Form::Struct(&KEY_VALUE))),
        (9, Form::Int64),
        (10, Form::Int64),
        (11, Form::Int64),
        (12, Form::Struct(&STATISTICS)),
        (13, Form::List(&Form::Struct(&ENCODING_STATS))),
        (14, Form::Int64),
        (15, Form::Int32),
        (16, Form::Struct(&SIZES)),
        (17, Form::Struct(&form(200, &[(1, Form::Struct(&BOX)), (2, Form::List(&Form::Int32))]))),
    ],
);
const COLUMN_CHUNK: Struct = Struct {
    of: Of::ColumnChunk,
    memory: 800,
    fields: &[
        (1, Form::Binary),
        (2, Form::Int64),
        (3, Form::Struct(&COLUMN)),
        (4, Form::Int64),
        (5, Form::Int32),
        (6, Form::Int64),
        (7, Form::Int32),
    ],
};
const KEY_VALUE: Struct = form(48, &[(1, Form::Binary), (2, Form::Binary)]);
const SORTING: Struct = form(12, &[(1, Form::Int32), (2, Form::Bool), (3, Form::Bool)]);
const ROW_GROUP: Struct = form(
    300,
    &[
        (1, Form::List(&Form::Struct(&COLUMN_CHUNK))),
        (2, Form::Int64),
        (3, Form::Int64),
        (4, Form::List(&Form::Struct(&SORTING))),
        (5, Form::Int64),
        (6, Form::Int64),
        (7, Form::Int16),
    ],
);
const ORDER: Struct = form(4, &[(1, Form::Struct(&EMPTY)), (2, Form::Struct(&EMPTY))]);
/// `FileMetaData`: the footer.
pub(super) const FILE: Struct = Struct {
    of: Of::File,
    memory: 0,
    fields: &[
        (1, Form::Int32),
        (2, Form::List(&Form::Struct(&SCHEMA_ELEMENT))),
        (3, Form::Int64),
        (4, Form::List(&Form::Struct(&ROW_GROUP))),
        (5, Form::List(&Form::Struct(&KEY_VALUE))),
        (6, Form::Binary),
        (7, Form::List(&Form::Struct(&ORDER))),
    ],
};
const PAGE_LOCATION: Struct = form(24, &[(1, Form::Int64), (2, Form::Int32), (3, Form::Int64)]);
/// `OffsetIndex`: where the pages of a column chunk are.
pub(super) const OFFSET_INDEX: Struct =
    form(64, &[(1, Form::List(&Form::Struct(&PAGE_LOCATION))), (2, Form::List(&Form::Int64))]);
/// `ColumnIndex`: what values they hold.
pub(super) const COLUMN_INDEX: Struct = form(
    256,
    &[
        (1, Form::List(&Form::Bool)),
        (2, Form::List(&Form::Binary)),
        (3, Form::List(&Form::Binary)),
        (4, Form::Int32),
        (5, Form::List(&Form::Int64)),
        (6, Form::List(&Form::Int64)),
        (7, Form::List(&Form::Int64)),
    ],
);
/// `PageHeader`.
pub(super) const PAGE: Struct = Struct {
    of: Of::Page,
    memory: 0,
    fields: &[
        (1, Form::Int32),
        (2, Form::Int32),
        (3, Form::Int32),
        (4, Form::Int32),
        (5, Form::Struct(&DATA_PAGE)),
        (6, Form::Struct(&EMPTY)),
        (7, Form::Struct(&DICTIONARY_PAGE)),
        (8, Form::Struct(&DATA_PAGE_V2)),
    ],
};
const DATA_PAGE: Struct = Struct {
    of: Of::DataPage,
    memory: 0,
    fields: &[(1, Form::Int32), (2, Form::Int32), (3, Form::Int32), (4, Form::Int32), (5, Form::Struct(&STATISTICS))],
};
const DICTIONARY_PAGE: Struct =
    Struct { of: Of::DictionaryPage, memory: 0, fields: &[(1, Form::Int32), (2, Form::Int32), (3, Form::Bool)] };
const DATA_PAGE_V2: Struct = Struct {
    of: Of::DataPageV2,
    memory: 0,
    fields: &[
        (1, Form::Int32),
        (2, Form::Int32),
        (3, Form::Int32),
        (4, Form::Int32),
        (5, Form::Int32),
        (6, Form::Int32),
        (7, Form::Bool),
        (8, Form::Struct(&STATISTICS)),
    ],
};

/// Why a structure may not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It makes no sense, or claims more than there is.
    Damaged,
    /// The library would take more memory for it than it may.
    Large,
}

/// Walks through a `structure` at the front of `input`; returns the bytes of memory that the library will take for it.
///
/// # Errors
/// When it is damaged, or would take more than `most`.
pub(super) fn walk(
    input: &mut Input<'_>,
    structure: &'static Struct,
    most: u64,
    visit: &mut impl Visit,
) -> Result<u64, Fault> {
    let mut walk = Walk { input, left: Some(most), visit };
    let whole = walk.structure(structure);
    let left = walk.left.ok_or(Fault::Large)?;
    whole.ok_or(Fault::Damaged)?;
    Ok(most - left)
}

struct Walk<'a, 'b, V> {
    input: &'a mut Input<'b>,
    /// Memory that may still be taken; `None` where it would not do.
    left: Option<u64>,
    visit: &'a mut V,
}

impl<V: Visit> Walk<'_, '_, V> {
    fn count(&mut self, memory: u64) -> Option<()> {
        self.left = self.left?.checked_sub(memory);
        self.left.map(drop)
    }

    fn structure(&mut self, structure: &'static Struct) -> Option<()> {
        self.count(structure.memory)?;
        self.visit.begin(structure.of)?;
        let (mut id, mut seen) = (0, 0u64);
        while let Some(kind) = self.input.field(&mut id)? {
            let Some((_, form)) = structure.fields.iter().find(|(known, _)| *known == id) else {
                self.input.skip(kind)?;
                continue;
            };
            // The library would read a repeated field twice, and keep both or the last.
            let bit = 1u64.checked_shl(u32::try_from(id).ok()?)?;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            if let (Form::Bool, TRUE | FALSE) = (form, kind) {
                self.visit.truth(structure.of, id, kind == TRUE);
                continue;
            }
            (kind == form.kind()).then_some(())?;
            self.value(form, structure.of, id)?;
        }
        self.visit.end(structure.of)
    }

    fn value(&mut self, form: &'static Form, of: Of, id: i16) -> Option<()> {
        let bits = match form {
            // Of a list; as a field it has no value behind it.
            Form::Bool => {
                self.count(1)?;
                return self.input.byte().filter(|byte| *byte <= FALSE).map(drop);
            }
            Form::Byte => return self.input.byte().map(drop),
            Form::Double => return (0..8).try_for_each(|_| self.input.byte().map(drop)),
            Form::Binary => {
                let length = self.input.skip_binary()?;
                self.visit.bytes(of, id, length)?;
                return self.count(length.saturating_add(OWNED));
            }
            Form::Struct(structure) => return self.structure(structure),
            Form::List(element) => return self.list(element, of, id),
            Form::Int16 => 16,
            Form::Int32 => 32,
            Form::Int64 => 64,
        };
        let value = self.input.signed(bits)?;
        self.visit.number(of, id, value)
    }

    fn list(&mut self, element: &'static Form, of: Of, id: i16) -> Option<()> {
        let (count, kind) = self.input.list()?;
        let fits = kind == element.kind() || (kind == TRUE && element.kind() == FALSE) || (count == 0 && kind == 0);
        fits.then_some(())?;
        self.visit.list(of, id, count)?;
        self.count(OWNED)?;
        for _ in 0..count {
            if matches!(element, Form::Int16 | Form::Int32 | Form::Int64) {
                self.count(8)?;
            }
            // An element has no id: the list states its type.
            self.value(element, Of::Other, 0)?;
        }
        Some(())
    }
}

impl Form {
    /// Its type in Thrift's notation, of a truth value as an element of a list.
    const fn kind(&self) -> u8 {
        match self {
            Form::Bool => FALSE,
            Form::Byte => BYTE,
            Form::Int16 => INT16,
            Form::Int32 => INT32,
            Form::Int64 => INT64,
            Form::Double => DOUBLE,
            Form::Binary => BINARY,
            Form::List(_) => LIST,
            Form::Struct(_) => STRUCT,
        }
    }
}

#[cfg(test)]
mod tests;
