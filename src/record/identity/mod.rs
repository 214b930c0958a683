//! Who a process is: its life, its cgroup and its container.
//!
//! Owns what is looked up in /proc and in the hierarchy of cgroups ([`lookup`]), once for each process and cgroup.

mod build_id;
pub mod cgroupfs;
pub mod cgroups;
pub mod container;
pub mod lookup;
pub mod mappings;
mod maps;
pub mod proc;
pub mod processes;
