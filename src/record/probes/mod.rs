//! The hooks: which of them the kernel accepts, how they are loaded, and the test that each passes before recording begins.

pub mod load;
pub mod selftest;
pub mod tier_selection;
