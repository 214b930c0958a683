//! Values of a row, by their types: each comes from the old row, and the new one borrows what stands for it.

use std::sync::Arc;

use super::kinds::Kind;
use super::payload;
use super::redactor::{Redactor, TextOf};
use super::rules::Rule;
use crate::schema::Event;
use crate::schema::regions::{Mapping, Region, Regions};
use crate::schema::types::{Iovec, Iovecs};

/// A value of the new row: what it borrows from the old one, or its own.
pub trait Lend {
    /// What it lends.
    type Lent<'a>
    where
        Self: 'a;
    /// The value.
    fn lend(&self) -> Self::Lent<'_>;
}

/// A value of the old row.
pub trait Value<'a>: Copy + Default {
    /// What the new row has in its place.
    type New: Lend + Default;
    /// The value by its rule.
    fn redacted(self, rule: Rule, redactor: &mut Redactor, event: &Event<'a>) -> Self::New;
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(
            impl Lend for $number {
                type Lent<'a> = $number;
                fn lend(&self) -> $number {
                    *self
                }
            }

            impl Value<'_> for $number {
                type New = $number;
                fn redacted(self, rule: Rule, redactor: &mut Redactor, event: &Event<'_>) -> $number {
                    let number = redactor.number(rule, self.into(), event);
                    number.and_then(|number| number.try_into().ok()).unwrap_or_default()
                }
            }

            impl Lend for Option<$number> {
                type Lent<'a> = Option<$number>;
                fn lend(&self) -> Option<$number> {
                    *self
                }
            }

            impl Value<'_> for Option<$number> {
                type New = Option<$number>;
                fn redacted(self, rule: Rule, redactor: &mut Redactor, event: &Event<'_>) -> Option<$number> {
                    redactor.number(rule, self?.into(), event)?.try_into().ok()
                }
            }
        )+
    };
}

numbers!(i32, u32, i64, u64);

impl Lend for Option<bool> {
    type Lent<'a> = Option<bool>;
    fn lend(&self) -> Option<bool> {
        *self
    }
}

impl Value<'_> for Option<bool> {
    type New = Option<bool>;
    fn redacted(self, rule: Rule, _: &mut Redactor, _: &Event<'_>) -> Option<bool> {
        self.filter(|_| rule == Rule::Keep)
    }
}

/// A text that stays, or another.
#[derive(Debug, Default)]
pub struct Text<'t>(Option<TextOf<'t>>);

impl<'t> Text<'t> {
    fn get(&self) -> Option<&str> {
        match self.0.as_ref()? {
            TextOf::Kept(text) => Some(text),
            TextOf::Made(text) => Some(text),
        }
    }
}

/// The same, never null.
#[derive(Debug, Default)]
pub struct Required<'t>(Text<'t>);

impl<'t> Lend for Text<'t> {
    type Lent<'a>
        = Option<&'a str>
    where
        Self: 'a;
    fn lend(&self) -> Option<&str> {
        self.get()
    }
}

impl<'t> Lend for Required<'t> {
    type Lent<'a>
        = &'a str
    where
        Self: 'a;
    fn lend(&self) -> &str {
        self.0.get().unwrap_or_default()
    }
}

impl<'t> Value<'t> for Option<&'t str> {
    type New = Text<'t>;
    fn redacted(self, rule: Rule, redactor: &mut Redactor, event: &Event<'t>) -> Text<'t> {
        Text(redactor.text(rule, self, event))
    }
}

impl<'t> Value<'t> for &'t str {
    type New = Required<'t>;
    fn redacted(self, rule: Rule, redactor: &mut Redactor, event: &Event<'t>) -> Required<'t> {
        Required(Text(redactor.text(rule, Some(self), event)))
    }
}

impl Lend for Option<Vec<u8>> {
    type Lent<'a> = Option<&'a [u8]>;
    fn lend(&self) -> Option<&[u8]> {
        self.as_deref()
    }
}

impl Value<'_> for Option<&[u8]> {
    type New = Option<Vec<u8>>;
    fn redacted(self, rule: Rule, redactor: &mut Redactor, _: &Event<'_>) -> Option<Vec<u8>> {
        self.filter(|_| rule == Rule::Payload && redactor.masked).map(|bytes| {
            let mut bytes = bytes.to_vec();
            redactor.payloads.secrets += payload::mask(&mut bytes);
            bytes
        })
    }
}

impl Lend for Option<Vec<Iovec>> {
    type Lent<'a> = Option<Iovecs<'a>>;
    fn lend(&self) -> Option<Iovecs<'_>> {
        self.as_deref().map(Iovecs::Pairs)
    }
}

impl Value<'_> for Option<Iovecs<'_>> {
    type New = Option<Vec<Iovec>>;
    fn redacted(self, rule: Rule, redactor: &mut Redactor, _: &Event<'_>) -> Option<Vec<Iovec>> {
        let ranges = self.filter(|_| rule == Rule::Ranges)?;
        let hides = redactor.hides();
        let moved = |range: Iovec| match hides {
            true => Iovec { base: redactor.names.address(range.base), ..range },
            false => range,
        };
        Some(ranges.iter().map(moved).collect())
    }
}

impl Lend for Option<Vec<Option<Arc<Mapping>>>> {
    type Lent<'a> = Option<Regions<'a>>;
    fn lend(&self) -> Option<Regions<'_>> {
        self.as_deref().map(Regions::Known)
    }
}

impl Value<'_> for Option<Regions<'_>> {
    type New = Option<Vec<Option<Arc<Mapping>>>>;
    fn redacted(self, rule: Rule, redactor: &mut Redactor, _: &Event<'_>) -> Self::New {
        let regions = self.filter(|_| rule == Rule::Regions)?;
        let made = |region: Region<'_>| region.is_mapped().then(|| Arc::new(mapping(region, redactor)));
        Some(regions.iter().map(made).collect())
    }
}

/// What `fs/proc/task_mmu.c` appends to the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

fn mapping(region: Region<'_>, redactor: &mut Redactor) -> Mapping {
    let Region { start, end, perms, path, file_offset, device, inode, build_id } = region;
    let perms = perms.to_string();
    if !redactor.hides() {
        let (path, device, build_id) = (path.to_string(), device.to_string(), build_id.to_string());
        return Mapping { start, end, perms, path, file_offset, device, inode, build_id };
    }
    let names = &mut redactor.names;
    let (file, deleted) = path.strip_suffix(DELETED).map_or((path, ""), |file| (file, DELETED));
    let path = match path {
        "" => String::new(),
        _ if KEPT.contains(&path) => path.to_string(),
        _ if path.starts_with("[anon:") => "[anon]".into(),
        _ if path.starts_with('[') => "[...]".into(),
        _ => names.text(Kind::Path, file).to_string() + deleted,
    };
    let moved = names.address(start);
    Mapping {
        start: moved,
        end: moved.saturating_add(end.saturating_sub(start)),
        perms,
        path,
        file_offset,
        device: String::new(),
        inode: if inode == 0 { 0 } else { names.number(Kind::Inode, inode) },
        build_id: String::new(),
    }
}

/// Names of mappings that every program has (proc_pid_maps(5)).
const KEPT: [&str; 7] = ["[heap]", "[stack]", "[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]"];
