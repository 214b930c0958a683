//! vmtrace's tables and scans as bytes in plans; Ballista encodes everything else.
//!
//! Owns the form of these bytes. They pass between processes of one build. Ballista checks only its own version, so
//! bytes that cannot be read are refused.

use std::io::{Cursor, Read};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use ballista_core::serde::{BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec};
use datafusion::common::{Result, TableReference, exec_datafusion_err, exec_err, not_impl_err};
use datafusion::datasource::file_format::FileFormatFactory;
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Extension, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::logical_plan::LogicalExtensionCodec;
use datafusion_proto::physical_plan::{
    AsExecutionPlan, PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalPlanNode;

use super::super::events::Events;
use super::scan::{self, Fleet, Places};
use crate::schema::limits::MAX_MESSAGE;

/// What our bytes begin with. No message of Ballista does: in protobuf, `v` would be a field of a type that there is none of.
const EVENTS: &[u8] = b"vmtrace events\n";
const MEMORY: &[u8] = b"vmtrace memory\n";
const SCAN: &[u8] = b"vmtrace scan\n";

/// Packs `parts`: plans say the same of every capture, so they become much smaller.
fn pack(kind: &[u8], parts: &[&[u8]], to: &mut Vec<u8>) -> Result<()> {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_le_bytes());
        all.extend_from_slice(part);
    }
    to.extend_from_slice(kind);
    to.extend_from_slice(&zstd::bulk::compress(&all, 1)?);
    Ok(())
}

/// The parts that [`pack`] packed, if `bytes` are of that kind.
fn unpack<const N: usize>(kind: &[u8], bytes: &[u8]) -> Option<Result<[Vec<u8>; N]>> {
    let packed = bytes.strip_prefix(kind)?;
    Some((|| {
        let mut all = Vec::new();
        zstd::Decoder::new(packed)?.take(MAX_MESSAGE as u64 + 1).read_to_end(&mut all)?;
        if all.len() > MAX_MESSAGE {
            return Err(cut());
        }
        let (mut rest, mut parts) = (all.as_slice(), [const { Vec::new() }; N]);
        for part in &mut parts {
            let (length, behind) = rest.split_first_chunk().ok_or_else(cut)?;
            let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
            let (this, behind) = behind.split_at_checked(length).ok_or_else(cut)?;
            *part = this.to_vec();
            rest = behind;
        }
        Ok(parts)
    })())
}

fn cut() -> datafusion::common::DataFusionError {
    exec_datafusion_err!("a part of a plan is cut, or larger than {MAX_MESSAGE} bytes")
}

fn places(json: &[u8]) -> Result<Places> {
    serde_json::from_slice(json).map_err(|error| exec_datafusion_err!("no list of captures came: {error}"))
}

fn json(places: &Places) -> Result<Vec<u8>> {
    serde_json::to_vec(places).map_err(|error| exec_datafusion_err!("{error}"))
}

/// Tables in logical plans: `events` by the places of its captures, tables in memory by what they hold.
#[derive(Debug, Default)]
pub struct Tables {
    stock: BallistaLogicalExtensionCodec,
    places: Option<Arc<Places>>,
}

impl Tables {
    /// Of queries over the captures at `places`.
    pub fn over(places: Arc<Places>) -> Self {
        Tables { places: Some(places), ..Tables::default() }
    }
}

impl LogicalExtensionCodec for Tables {
    fn try_decode(&self, bytes: &[u8], inputs: &[LogicalPlan], context: &TaskContext) -> Result<Extension> {
        self.stock.try_decode(bytes, inputs, context)
    }

    fn try_encode(&self, node: &Extension, to: &mut Vec<u8>) -> Result<()> {
        self.stock.try_encode(node, to)
    }

    fn try_decode_table_provider(
        &self,
        bytes: &[u8],
        name: &TableReference,
        schema: SchemaRef,
        _context: &TaskContext,
    ) -> Result<Arc<dyn TableProvider>> {
        if let Some(parts) = unpack(EVENTS, bytes) {
            let [list] = parts?;
            return Ok(Arc::new(Fleet { places: Arc::new(places(&list)?), schema }));
        }
        let Some(parts) = unpack(MEMORY, bytes) else { return exec_err!("{name} is a table of another program") };
        let [rows] = parts?;
        let reader = StreamReader::try_new(Cursor::new(rows), None)?;
        let batches = reader.collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(Arc::new(MemTable::try_new(schema, vec![batches])?))
    }

    fn try_encode_table_provider(
        &self,
        name: &TableReference,
        table: Arc<dyn TableProvider>,
        to: &mut Vec<u8>,
    ) -> Result<()> {
        if let (Some(places), true) = (&self.places, table.is::<Events>()) {
            return pack(EVENTS, &[&json(places)?], to);
        }
        let Some(memory) = table.downcast_ref::<MemTable>() else {
            return not_impl_err!("{name} cannot be sent to a cluster");
        };
        let mut writer = StreamWriter::try_new(Vec::new(), &memory.schema())?;
        for partition in &memory.batches {
            let batches = partition.try_read().map_err(|_| exec_datafusion_err!("{name} is being written"))?;
            batches.iter().try_for_each(|batch| writer.write(batch))?;
        }
        pack(MEMORY, &[&writer.into_inner()?], to)
    }

    fn try_decode_file_format(&self, bytes: &[u8], context: &TaskContext) -> Result<Arc<dyn FileFormatFactory>> {
        self.stock.try_decode_file_format(bytes, context)
    }

    fn try_encode_file_format(&self, to: &mut Vec<u8>, node: Arc<dyn FileFormatFactory>) -> Result<()> {
        self.stock.try_encode_file_format(to, node)
    }
}

/// Scans in physical plans: a stock Parquet scan with the places of the captures. Columns, ranges, limit and the predicate
/// that statistics are held against are in the stock scan.
#[derive(Debug, Default)]
pub struct Scans {
    stock: BallistaPhysicalExtensionCodec,
}

impl PhysicalExtensionCodec for Scans {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(parts) = unpack(SCAN, bytes) else {
            return self.stock.try_decode(bytes, inputs, context, converter);
        };
        let [list, plan] = parts?;
        let node = PhysicalPlanNode::try_decode(&plan)?;
        let plan = converter.proto_to_execution_plan(&node, &PhysicalPlanDecodeContext::new(context, self))?;
        scan::join(&plan, places(&list)?)
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        to: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some((plain, places)) = scan::split(&node) else { return self.stock.try_encode(node, to, converter) };
        let mut plan = Vec::new();
        converter.execution_plan_to_proto(&plain, self)?.try_encode(&mut plan)?;
        pack(SCAN, &[&json(places)?, &plan], to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        let mut bytes = Vec::new();
        pack(SCAN, &[b"one", b""], &mut bytes).unwrap();
        let [one, none] = unpack(SCAN, &bytes).unwrap().unwrap();
        assert_eq!((one.as_slice(), none.as_slice()), (&b"one"[..], &b""[..]));
        assert!(unpack::<2>(EVENTS, &bytes).is_none());
        assert!(unpack::<3>(SCAN, &bytes).unwrap().is_err(), "there are two parts");
        for end in SCAN.len()..bytes.len() {
            assert!(unpack::<2>(SCAN, &bytes[..end]).unwrap().is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_part_is_as_large_as_it_may_be() {
        // A part that says how long it is, in front of itself.
        let read = |length: usize| {
            let mut packed = Vec::new();
            pack(EVENTS, &[&vec![0; length - 8]], &mut packed).unwrap();
            unpack::<1>(EVENTS, &packed).unwrap().map(|[part]| part.len())
        };
        assert_eq!(read(MAX_MESSAGE).unwrap(), MAX_MESSAGE - 8);
        assert!(read(MAX_MESSAGE + 1).unwrap_err().to_string().contains("larger than 268435456 bytes"));
    }
}
