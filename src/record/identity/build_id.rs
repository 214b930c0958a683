//! Build ids of mapped ELF files.
//!
//! Paths in /proc/PID/maps are text. A file is believed to be the mapped one only if it has the mapping's device and inode.
//! It is opened below the process's root, without following it out of there, only if its path needs no look-up that could
//! wait, only on block devices, and not if somebody has a lease on it (fcntl(2)): neither a traced program nor its file
//! system must be able to hold up the recorder.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use crate::schema::regions::Mapping;

/// Files remembered.
const MOST_FILES: usize = 4096;
/// New files looked at in one reading.
const MOST_NEW: usize = 256;
/// Bytes of notes looked at, of one file.
const MOST_NOTES: u64 = 64 << 10;
/// Bytes of files looked at in one reading: 4,096 stand for opening one.
const MOST_READ: u64 = 1 << 20;
const OPENING: u64 = 4096;
/// Program headers looked at.
const MOST_HEADERS: u16 = 128;
/// Bytes of a build id.
const MOST_ID: usize = 64;

/// Device, inode, and when it was changed.
type Key = (u32, u32, u64, i64, u32);

/// Build ids by file.
#[derive(Debug, Default)]
pub struct BuildIds {
    known: HashMap<Key, String>,
}

impl BuildIds {
    /// Fills in the build ids of a process's mappings, as far as they can be read. Returns how many bytes of files that took.
    pub fn fill(&mut self, pid: i32, mappings: &mut [Mapping]) -> u64 {
        // The root may be another one than ours.
        let as_place = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(format!("/proc/{pid}/root").as_str(), as_place, Mode::empty());
        let Ok(root) = root else { return 0 };
        let mut spent = 0;
        let mut of_path: HashMap<(String, String, u64), String> = HashMap::new();
        for mapping in mappings.iter_mut().filter(|mapping| is_on_block_device(mapping)) {
            let key = (mapping.path.clone(), mapping.device.clone(), mapping.inode);
            if !of_path.contains_key(&key) {
                if of_path.len() >= MOST_NEW || spent >= MOST_READ {
                    continue;
                }
                let id = self.of(&root, mapping, &mut spent).unwrap_or_default();
                of_path.insert(key.clone(), id);
            }
            mapping.build_id = of_path.get(&key).cloned().unwrap_or_default();
        }
        spent
    }

    fn of(&mut self, root: &OwnedFd, mapping: &Mapping, spent: &mut u64) -> Option<String> {
        let path = mapping.path.trim_start_matches('/');
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | CACHED);
        let found = openat2(root, path, how).ok()?;
        let status = status(&found)?;
        let is_file = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFREG;
        let device = format!("{:02x}:{:02x}", status.stx_dev_major, status.stx_dev_minor);
        if !is_file || status.stx_ino != mapping.inode || device != mapping.device {
            return None;
        }
        let changed = status.stx_mtime;
        let key = (status.stx_dev_major, status.stx_dev_minor, status.stx_ino, changed.tv_sec, changed.tv_nsec);
        if let Some(known) = self.known.get(&key) {
            return Some(known.clone());
        }
        *spent += OPENING;
        // A lease is not waited for.
        let as_reader = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file =
            File::from(open(format!("/proc/self/fd/{}", found.as_raw_fd()).as_str(), as_reader, Mode::empty()).ok()?);
        let id = read(&file, spent).unwrap_or_default();
        if self.known.len() >= MOST_FILES {
            self.known.clear();
        }
        self.known.insert(key, id.clone());
        Some(id)
    }
}

/// RESOLVE_CACHED (openat2(2)): only what the kernel finds in memory.
const CACHED: ResolveFlag = ResolveFlag::from_bits_retain(0x20);

/// Other file systems have the major number 0: those of the network and of programs among them.
fn is_on_block_device(mapping: &Mapping) -> bool {
    mapping.inode != 0 && mapping.path.starts_with('/') && !mapping.device.starts_with("00:")
}

/// What is known of a file without asking its file system (statx(2)).
fn status(file: &OwnedFd) -> Option<libc::statx> {
    // SAFETY: a statx is numbers alone.
    let mut status: libc::statx = unsafe { std::mem::zeroed() };
    let how = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    // SAFETY: the descriptor is open, the path is a string, and `status` is as large as the kernel writes.
    let failed = unsafe { libc::statx(file.as_raw_fd(), c"".as_ptr(), how, libc::STATX_BASIC_STATS, &raw mut status) };
    (failed == 0).then_some(status)
}

/// The build id of an ELF file (elf(5)): the note of type NT_GNU_BUILD_ID. Adds to `spent` what is read.
fn read(file: &File, spent: &mut u64) -> Option<String> {
    let mut left = MOST_NOTES;
    let mut head = [0; 64];
    file.read_exact_at(&mut head, 0).ok()?;
    // Little endian alone: what this machine executes.
    if head.get(..4)? != b"\x7fELF" || head[5] != 1 {
        return None;
    }
    let wide = head[4] == 2;
    let word = |bytes: &[u8], at: usize, wide: bool| -> Option<u64> {
        match wide {
            true => bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes),
            false => bytes.get(at..at + 4)?.try_into().ok().map(|b| u32::from_le_bytes(b).into()),
        }
    };
    let half = |at: usize| head.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes);
    let at = word(&head, if wide { 32 } else { 28 }, wide)?;
    let (size, count) = if wide { (half(54)?, half(56)?) } else { (half(42)?, half(44)?) };
    let least = if wide { 56 } else { 32 };
    for index in 0..count.min(MOST_HEADERS) {
        let mut header = [0; 56];
        let header = header.get_mut(..least)?;
        let place = at.checked_add(u64::from(index).checked_mul(u64::from(size))?)?;
        file.read_exact_at(header, place).ok()?;
        // PT_NOTE
        if word(header, 0, false)? != 4 {
            continue;
        }
        let (offset, length) = if wide { (8, 32) } else { (4, 16) };
        let (offset, length) = (word(header, offset, wide)?, word(header, length, wide)?);
        let mut notes = vec![0; usize::try_from(length.min(left)).ok()?];
        let read = file.read_at(&mut notes, offset).ok()?;
        left = left.saturating_sub(read as u64);
        *spent += read as u64;
        if let Some(id) = in_notes(notes.get(..read)?) {
            return Some(id);
        }
    }
    None
}

/// Each note is the lengths of its name and its content, its type, and both, padded to four bytes.
fn in_notes(mut notes: &[u8]) -> Option<String> {
    loop {
        let (head, rest) = notes.split_first_chunk::<12>()?;
        let number = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let (name_len, len, kind) = (number(0)? as usize, number(4)? as usize, number(8)?);
        let (name, rest) = rest.split_at_checked(name_len.checked_next_multiple_of(4)?)?;
        let content = rest.get(..len)?;
        if kind == 3 && name == b"GNU\0" && !content.is_empty() && len <= MOST_ID {
            return Some(content.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        notes = rest.get(len.checked_next_multiple_of(4)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use object::Object;

    use super::*;

    #[test]
    fn this_program_has_the_build_id_that_its_file_states() {
        let mut mappings = super::super::maps::parse(&std::fs::read("/proc/self/maps").unwrap()).unwrap();
        BuildIds::default().fill(std::process::id() as i32, &mut mappings);
        let libc = mappings.iter().find(|mapping| mapping.path.contains("/libc.so"));
        let libc = libc.unwrap_or_else(|| panic!("no libc in {mappings:?}"));
        let file = std::fs::read(&libc.path).unwrap();
        let stated = object::File::parse(&*file).unwrap().build_id().unwrap().unwrap().to_vec();
        let stated: String = stated.iter().map(|byte| format!("{byte:02x}")).collect();
        // Only what is on a block device is opened.
        assert_eq!(libc.build_id, if is_on_block_device(libc) { stated } else { String::new() });
    }

    /// A mapping of a file below the directory of the build, which is on a device of its own or not.
    fn mapped(path: &std::path::Path) -> (OwnedFd, Mapping) {
        let root = open("/", OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        let status = status(&OwnedFd::from(File::open(path).unwrap())).unwrap();
        let device = format!("{:02x}:{:02x}", status.stx_dev_major, status.stx_dev_minor);
        (root, Mapping { path: path.to_str().unwrap().into(), device, inode: status.stx_ino, ..Mapping::default() })
    }

    #[test]
    fn a_file_with_a_lease_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("leased");
        std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        let (root, mapping) = mapped(&path);
        let mut ids = BuildIds::default();
        let leased = File::options().read(true).write(true).open(&path).unwrap();
        // SAFETY: numbers alone. Who has a lease is told by a signal, which is to do nothing.
        unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
        // Children of other tests have all files of this process open until they execute their programs.
        let soon = |what: &str, done: &mut dyn FnMut() -> bool| {
            let tries = (0..1000).any(|_| {
                let is_done = done();
                std::thread::sleep(std::time::Duration::from_millis(if is_done { 0 } else { 10 }));
                is_done
            });
            assert!(tries, "{what}: {}", std::io::Error::last_os_error());
        };
        // SAFETY: numbers alone.
        let set = || unsafe { libc::fcntl(leased.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) == 0 };
        soon("a lease", &mut { set });
        assert_eq!(ids.of(&root, &mapping, &mut 0), None);
        drop(leased);
        soon("the build id", &mut || ids.of(&root, &mapping, &mut 0).is_some_and(|id| id.len() == 40));
    }

    #[test]
    fn what_is_read_of_a_file_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("notes");
        // 128 headers that all promise the same 64 KiB of notes.
        let mut header = [0; 56];
        header[0] = 4;
        header[8..16].copy_from_slice(&8192_u64.to_le_bytes());
        header[32..40].copy_from_slice(&MOST_NOTES.to_le_bytes());
        let mut content = vec![0; 8192 + MOST_NOTES as usize];
        content[..6].copy_from_slice(b"\x7fELF\x02\x01");
        content[32] = 64;
        (content[54], content[56]) = (56, 128);
        (0..128).for_each(|n| content[64 + 56 * n..][..56].copy_from_slice(&header));
        // Notes of another kind.
        content[8192..].as_chunks_mut::<12>().0.iter_mut().for_each(|note| note[8] = 1);
        std::fs::write(&path, content).unwrap();
        let (root, mapping) = mapped(&path);
        let mut spent = 0;
        assert_eq!(BuildIds::default().of(&root, &mapping, &mut spent).as_deref(), Some(""));
        assert_eq!(spent, OPENING + MOST_NOTES);
    }

    #[test]
    fn other_files_have_none() {
        let file = tempfile::tempfile().unwrap();
        for content in [&b""[..], b"\x7fELF", &[b"\x7fELF\x02\x01".as_slice(), &[0xff; 100]].concat()] {
            file.set_len(0).unwrap();
            file.write_all_at(content, 0).unwrap();
            assert_eq!(read(&file, &mut 0), None);
        }
        assert_eq!(in_notes(b"\x04\0\0\0\xff\xff\xff\xff\x03\0\0\0GNU\0abc"), None);
        assert_eq!(in_notes(b"\x04\0\0\0\x02\0\0\0\x03\0\0\0GNU\0\xab\xcd").as_deref(), Some("abcd"));
    }
}
