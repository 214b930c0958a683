//! SQL functions for captured bytes: hexdump, printable, contains_bytes, find_all, entropy, payload_at, address_of.
//!
//! Owns the binding to the engine. Each computation is in a file of its own, without Arrow. src/query/views/duckdb.sql
//! defines the same functions for DuckDB.

mod arg_max;
mod bytes;
mod find;
mod lists;
mod locate;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Float64Array, StringViewBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;

use crate::schema::limits::MAX_MADE_TEXT;

/// Field metadata of text that a table may show on several lines: it was made here, of printable characters.
pub const LINES: &str = "vmtrace.lines";

/// The functions, as `.help` lists them.
pub const HELP: [(&str, &str); 8] = [
    ("hexdump(bytes)", "the bytes as rows of 16, in hexadecimal and as text"),
    ("printable(bytes)", "the bytes as text, a dot for each that is not printable ASCII"),
    ("contains_bytes(bytes, part)", "whether part, bytes (x'2f') or text, is in the bytes"),
    ("find_all(bytes, pattern)", "where a regular expression matches: a list of offset (at) and text"),
    ("entropy(bytes)", "Shannon entropy in bits per byte: 0 of equal bytes, 8 of random ones"),
    ("payload_at(payload, iov, address)", "the part of payload from address on, which lies in a range of iov"),
    ("address_of(iov, offset)", "the address of the byte at that offset of a payload of iov"),
    ("arg_max(value, by)", "an aggregate: the value of the row whose by is largest"),
];

/// Makes the functions known to `context`.
pub fn register(context: &SessionContext) {
    context.register_udaf(AggregateUDF::from(arg_max::ArgMax::default()));
    for kind in BUILTINS {
        context.register_udf(ScalarUDF::from(Function {
            kind,
            signature: Signature::user_defined(Volatility::Immutable),
        }));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Builtin {
    Hexdump,
    Printable,
    ContainsBytes,
    FindAll,
    Entropy,
    PayloadAt,
    AddressOf,
}

const BUILTINS: [Builtin; 7] = [
    Builtin::Hexdump,
    Builtin::Printable,
    Builtin::ContainsBytes,
    Builtin::FindAll,
    Builtin::Entropy,
    Builtin::PayloadAt,
    Builtin::AddressOf,
];

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    kind: Builtin,
    signature: Signature,
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        match self.kind {
            Builtin::Hexdump => "hexdump",
            Builtin::Printable => "printable",
            Builtin::ContainsBytes => "contains_bytes",
            Builtin::FindAll => "find_all",
            Builtin::Entropy => "entropy",
            Builtin::PayloadAt => "payload_at",
            Builtin::AddressOf => "address_of",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let bytes = |of: &DataType| is_bytes(of).then_some(DataType::BinaryView);
        let wanted = match (self.kind, given) {
            (Builtin::ContainsBytes, [whole, part]) => bytes(whole).zip(bytes(part)).map(|(a, b)| vec![a, b]),
            (Builtin::FindAll, [whole, pattern]) if pattern.is_string() || pattern.is_null() => {
                bytes(whole).map(|whole| vec![whole, DataType::Utf8View])
            }
            (Builtin::AddressOf, [iov, offset]) if is_iovecs(iov) && is_address(offset) => {
                Some(vec![iov.clone(), DataType::Int64])
            }
            (Builtin::PayloadAt, [whole, iov, address]) if is_iovecs(iov) && is_address(address) => {
                bytes(whole).map(|whole| vec![whole, iov.clone(), DataType::UInt64])
            }
            (Builtin::Hexdump | Builtin::Printable | Builtin::Entropy, [whole]) => {
                bytes(whole).map(|whole| vec![whole])
            }
            _ => None,
        };
        let help = HELP.iter().find(|(call, _)| call.starts_with(self.name())).map_or("", |(call, _)| call);
        wanted.map_or_else(|| plan_err!("it is called {help}"), Ok)
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Builtin::Hexdump | Builtin::Printable => DataType::Utf8View,
            Builtin::ContainsBytes => DataType::Boolean,
            Builtin::Entropy => DataType::Float64,
            Builtin::PayloadAt => DataType::BinaryView,
            Builtin::FindAll => DataType::new_list(DataType::Struct(lists::hit_fields()), true),
            Builtin::AddressOf => DataType::UInt64,
        })
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.name(), self.return_type(&[])?, true);
        Ok(Arc::new(match self.kind {
            Builtin::Hexdump => field.with_metadata([(LINES.to_string(), "true".to_string())].into()),
            _ => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let result = match (self.kind, arrays.as_slice()) {
            (Builtin::Hexdump, [whole]) => text(whole, bytes::hexdump)?,
            (Builtin::Printable, [whole]) => text(whole, bytes::printable)?,
            (Builtin::ContainsBytes, [whole, part]) => contains(whole.as_binary_view(), part.as_binary_view()),
            (Builtin::Entropy, [whole]) => {
                Arc::new(whole.as_binary_view().iter().map(|b| b.and_then(bytes::entropy)).collect::<Float64Array>())
            }
            (Builtin::PayloadAt, [whole, iov, address]) => lists::payload_at(whole.as_binary_view(), iov, address),
            (Builtin::FindAll, [whole, pattern]) => lists::find_all(whole.as_binary_view(), pattern.as_string_view())?,
            (Builtin::AddressOf, [iov, offset]) => lists::address_of(iov, offset),
            _ => return exec_err!("{} was called with {} arguments", self.name(), arrays.len()),
        };
        match constant {
            true => Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&result, 0)?)),
            false => Ok(ColumnarValue::Array(result)),
        }
    }
}

fn is_bytes(of: &DataType) -> bool {
    of.is_binary() || of.is_string() || of.is_null()
}

/// Whether it counts: a sum of an address and a number is decimal in the engine.
fn is_address(of: &DataType) -> bool {
    of.is_integer() || of.is_null() || matches!(of, DataType::Decimal128(_, 0))
}

/// Whether it is a list of structs whose first two fields are 64-bit numbers, or null.
fn is_iovecs(of: &DataType) -> bool {
    match of {
        DataType::Null => true,
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => {
                let named = |index: usize, name: &str| {
                    fields.get(index).is_some_and(|f| f.name() == name && f.data_type() == &DataType::UInt64)
                };
                named(0, "base") && named(1, "len")
            }
            _ => false,
        },
        _ => false,
    }
}

/// Text of each value, in bounded memory.
fn text(values: &ArrayRef, of: fn(&[u8]) -> String) -> Result<ArrayRef> {
    let values = values.as_binary_view();
    let mut out = StringViewBuilder::with_capacity(values.len());
    let mut total = 0usize;
    for value in values {
        let text = value.map(of);
        total = total.saturating_add(text.as_ref().map_or(0, String::len));
        if total > MAX_MADE_TEXT {
            return exec_err!("payloads too large to be shown as text: pick fewer rows first");
        }
        out.append_option(text);
    }
    Ok(Arc::new(out.finish()))
}

fn contains(whole: &BinaryViewArray, part: &BinaryViewArray) -> ArrayRef {
    let mut finder = bytes::Finder::default();
    let pairs = whole.iter().zip(part.iter());
    Arc::new(pairs.map(|(whole, part)| whole.zip(part).map(|(w, p)| finder.contains(w, p))).collect::<BooleanArray>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_up_to_a_limit() {
        let whole = vec![b'x'; 1 << 20];
        let made = |more: &[u8]| {
            let values = (0..MAX_MADE_TEXT >> 20).map(|_| whole.as_slice()).chain([more]);
            let values: ArrayRef = Arc::new(BinaryViewArray::from_iter_values(values));
            text(&values, |bytes| String::from_utf8(bytes.to_vec()).unwrap_or_default())
        };
        assert!(made(b"").is_ok());
        let said = made(b"x").unwrap_err().to_string();
        assert!(said.contains("payloads too large to be shown as text"), "{said}");
    }
}
