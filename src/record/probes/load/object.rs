//! Opens the BPF object: its knobs, the maps that it shares if it is loaded again, and the kernel's message if it
//! refuses.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Mutex;

use anyhow::{Context, Result};
use libbpf_rs::{ErrorKind, MapCore, MapHandle, Object, ObjectBuilder, PrintLevel};

use crate::record::wire::{VMT_SPARES, vmt_knobs};

pub(super) const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vmtrace.bpf.o"));

/// The map in which is noted what calls reach.
const NOTES: &str = "reached";

/// The section that holds [`vmt_knobs`].
const KNOBS: &str = ".rodata.knobs";

/// Maps by name: made when the object is first loaded, used again later.
#[derive(Debug, Default)]
pub struct Maps(BTreeMap<String, MapHandle>);

impl Maps {
    /// The map of that name.
    ///
    /// # Errors
    /// When nothing that was loaded has it.
    pub fn get(&self, name: &str) -> Result<&MapHandle> {
        self.0.get(name).with_context(|| format!("the BPF objects have no map {name}"))
    }
}

/// Why an object was not loaded.
#[derive(Debug)]
pub struct Refused {
    /// The program at fault, where libbpf names one.
    pub program: Option<String>,
    /// Not the program but the right to load any of its kind is missing.
    pub permission: bool,
    /// In words.
    pub reason: String,
}

/// Messages of libbpf, kept to explain a failure.
static LIBBPF_LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn keep_message(_level: PrintLevel, message: String) {
    if let Ok(mut log) = LIBBPF_LOG.lock() {
        log.push(message.trim_end().to_string());
    }
}

/// Keeps what libbpf says from now on.
pub fn keep_messages() {
    libbpf_rs::set_print(Some((PrintLevel::Warn, keep_message)));
}

fn take_messages() -> Vec<String> {
    LIBBPF_LOG.lock().map(|mut log| std::mem::take(&mut *log)).unwrap_or_default()
}

/// Messages as one line. Of a verifier log only its verdict: the line before its statistics.
fn in_words(messages: &[String]) -> String {
    let verdict = |message: &String| {
        let lines: Vec<&str> = message.lines().collect();
        let end = lines.iter().position(|l| l.starts_with("processed "));
        let line = end.and_then(|end| lines.get(end.checked_sub(1)?)).or(lines.first());
        line.map(|l| l.trim_start_matches("libbpf: ").to_string())
    };
    messages.iter().filter_map(verdict).take(3).collect::<Vec<_>>().join("; ")
}

/// What libbpf said since last asked, as one line.
pub fn last_messages() -> String {
    in_words(&take_messages())
}

/// An error of libbpf with what it said of it.
fn refused(error: &libbpf_rs::Error) -> Refused {
    let messages = take_messages();
    // The verifier says EACCES too, but then it has said more.
    let verified = messages.iter().any(|m| m.contains("PROG LOAD LOG"));
    let named = |message: &String| Some(message.split_once("prog '")?.1.split_once('\'')?.0.to_string());
    let permission = matches!(error.kind(), ErrorKind::PermissionDenied) && !verified;
    let reason = match permission {
        // libbpf then guesses at remedies that are none.
        true => error.to_string(),
        false => format!("{error} ({})", in_words(&messages)),
    };
    Refused { program: messages.iter().find_map(named), permission, reason }
}

/// The programs of the object, and where each attaches: `fexit/mm_access`. Empty if it cannot be read.
pub fn programs() -> Vec<(String, String)> {
    let Ok(open) = ObjectBuilder::default().open_memory(OBJECT) else { return Vec::new() };
    let text = |s: &std::ffi::OsStr| s.to_string_lossy().trim_start_matches('?').to_string();
    open.progs().map(|program| (text(program.name()), text(program.section()))).collect()
}

/// Loads the programs that `wanted` names; new maps join `maps`. `rings` are what the map of rings is
/// made for.
///
/// # Errors
/// What the kernel refused, and why.
pub fn load(
    knobs: &vmt_knobs,
    rings: &[MapHandle],
    maps: &mut Maps,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Object, Refused> {
    take_messages();
    let mut open = ObjectBuilder::default().open_memory(OBJECT).map_err(|e| refused(&e))?;
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        match (name.as_str(), maps.0.get(&name)) {
            (KNOBS, _) => map.set_initial_value(bytes_of(knobs)),
            // Kernels before 5.11 have no such maps.
            (NOTES, _) if knobs.regions == 0 => map.set_autocreate(false),
            (_, Some(shared)) => map.reuse_fd(shared.as_fd()),
            ("rings", _) => rings.first().map_or(Ok(()), |first| {
                map.set_max_entries(rings.len() as u32)?;
                map.set_inner_map_fd(first.as_fd())
            }),
            ("scratches", _) => map.set_max_entries(2 * knobs.cpus + VMT_SPARES),
            _ => Ok(()),
        }
        .map_err(|e| refused(&e))?;
    }
    for mut program in open.progs_mut() {
        let load = wanted(&program.name().to_string_lossy());
        program.set_autoload(load);
    }
    let object = open.load().map_err(|e| refused(&e))?;
    for map in object.maps() {
        let name = map.name().to_string_lossy().into_owned();
        let is_made = name != NOTES || knobs.regions != 0;
        if is_made && !name.starts_with('.') && !maps.0.contains_key(&name) {
            maps.0.insert(name, MapHandle::try_from(&map).map_err(|e| refused(&e))?);
        }
    }
    Ok(object)
}

fn bytes_of(knobs: &vmt_knobs) -> &[u8] {
    // SAFETY: a plain C struct of integers without implicit padding (build.rs checks), alive as long as the slice.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(knobs).cast(), size_of::<vmt_knobs>()) }
}
