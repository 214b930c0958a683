//! Where rows go: the files of a recording, how much of the disk they may take, and the space kept for their end.

pub mod disk_policy;
pub mod footer_reserve;
pub mod series;
