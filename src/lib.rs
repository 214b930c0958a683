//! vmtrace: a forensic flight recorder for transfers of bytes across address spaces on Linux.
//!
//! Data flows one way: `bpf/` → `record` → `schema` → file → `schema` → `model` → `replay`, `export`, `report`, `view`; `query`. `derive` makes captures of captures. See docs/ARCHITECTURE.md.

pub mod archive;
pub mod check;
pub mod cli;
pub mod count;
pub mod derive;
pub mod export;
pub mod manual;
pub mod model;
pub mod output;
#[cfg(feature = "query")]
pub mod query;
#[cfg(feature = "record")]
pub mod record;
pub mod replay;
pub mod report;
pub mod sandbox;
pub mod schema;
pub mod terminal;
pub mod verify;
#[cfg(feature = "view")]
pub mod view;
