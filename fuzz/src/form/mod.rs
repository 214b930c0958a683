//! Inputs in a decoded form, which the fuzzer changes, and from which files are made whose sums are right.

pub mod capture;
pub mod edit;
pub mod journal;
pub mod parquet;
pub mod thrift;
pub mod zip;
