//! Which files can still be opened, by Landlock (landlock(7), Linux 5.13). Without it all can that the user may open.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use super::Needs;

/// The last version of Landlock whose rights are known here. Older kernels restrict what they know of them.
const KNOWN: ABI = ABI::V6;
/// What any command may read: where local time is told, random bytes, our own descriptors, through which files without a name are
/// opened anew, and who has locked a file.
const COMMON: [&str; 8] = [
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/usr/lib/zoneinfo",
    "/etc/zoneinfo",
    "/dev/urandom",
    "/proc/self/fd",
    "/proc/locks",
];

/// The version of Landlock that the kernel has; 0 without it.
pub fn version() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes no attributes (landlock_create_ruleset(2)).
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// Restricts this thread, and those that it starts, to the files that are needed.
pub fn restrict(needs: &Needs) -> Result<(), String> {
    match rules(needs) {
        // As in a container whose filter does not know Landlock: it is not there.
        Err(error) if is_refused(&error) => Ok(()),
        entered => entered.map_err(|error| error.to_string()),
    }
}

/// Whether the kernel, or who stands before it, refused the call itself.
fn is_refused(error: &RulesetError) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let code = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        if code == Some(libc::EPERM) {
            return true;
        }
        next = error.source();
    }
    false
}

fn rules(needs: &Needs) -> Result<(), RulesetError> {
    let mut handled = AccessFs::from_all(KNOWN);
    if needs.reads_anything {
        handled.remove(AccessFs::ReadFile | AccessFs::ReadDir);
    }
    if needs.writes_anything {
        // Directories are opened to bring names to the disk.
        handled.remove(AccessFs::from_write(KNOWN) & !BitFlags::from(AccessFs::Execute) | AccessFs::ReadDir);
    }
    let all = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let all = all.handle_access(handled)?.handle_access(AccessNet::from_all(KNOWN))?.scope(Scope::from_all(KNOWN))?;
    let mut rules = all.create()?;
    let read = (AccessFs::ReadFile | AccessFs::ReadDir) & handled;
    if !needs.reads_anything {
        for path in COMMON.map(PathBuf::from).into_iter().chain(own_zone()) {
            rules = allow(rules, &path, read)?;
        }
        for path in needs.reads.iter().flat_map(|path| named(path)) {
            rules = allow(rules, &path, read)?;
        }
    }
    // A file that is written is made under no name, or another one, in the same directory. It cannot be read there.
    let open = AccessFs::WriteFile | AccessFs::Truncate;
    let make = open | AccessFs::ReadDir | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Refer;
    for path in &needs.writes {
        rules = allow(rules, &directory(path), make & handled)?;
    }
    // A copy of an archive's captures, or of standard input, has no name, but a directory; and is read.
    if let Some(copies) = needs.temporary() {
        rules = allow(rules, &copies, ((if needs.spills { make } else { open }) | AccessFs::ReadFile) & handled)?;
    }
    // Discarded output, and the terminal.
    for path in ["/dev/null", "/dev/tty"] {
        let rights = AccessFs::WriteFile | AccessFs::ReadFile | AccessFs::Truncate | AccessFs::IoctlDev;
        rules = allow(rules, Path::new(path), rights & handled)?;
    }
    rules.restrict_self().map(drop)
}

/// Lets what is at `path` be used, if there is something. What is there is what it is now: a name can be given to another file later.
fn allow(rules: RulesetCreated, path: &Path, rights: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let (Ok(place), Ok(found)) = (PathFd::new(path), std::fs::metadata(path)) else { return Ok(rules) };
    let (kind, is_directory) = (found.file_type(), found.is_dir());
    // A pipe has no place for a rule, and needs none.
    if !(kind.is_file() || is_directory || kind.is_char_device() || kind.is_block_device()) {
        return Ok(rules);
    }
    let of_files = AccessFs::from_file(KNOWN);
    let rights = if is_directory { rights } else { rights & of_files };
    if rights.is_empty() {
        return Ok(rules);
    }
    rules.add_rule(PathBeneath::new(place, rights))
}

/// The file that TZ names, if it names one (tzset(3)).
fn own_zone() -> Option<PathBuf> {
    let zone = std::env::var_os("TZ")?;
    let bytes = zone.as_bytes();
    let path = Path::new(std::ffi::OsStr::from_bytes(bytes.strip_prefix(b":").unwrap_or(bytes)));
    path.is_file().then(|| path.to_path_buf())
}

/// The files that a word of the command line can mean: one, its signature, and an archive that stands before a colon.
pub(super) fn named(word: &Path) -> Vec<PathBuf> {
    let bytes = word.as_os_str().as_bytes();
    let before = |at: usize| bytes.get(..at).map(|front| PathBuf::from(std::ffi::OsStr::from_bytes(front)));
    let colons = bytes.iter().enumerate().filter(|(_, byte)| **byte == b':').filter_map(|(at, _)| before(at));
    let archives = colons.filter(|path| !path.is_dir());
    let mut signature = word.as_os_str().to_os_string();
    signature.push(".sig");
    [word.to_path_buf(), signature.into()].into_iter().chain(archives).collect()
}

/// Whether a file begins as a capture does, so that it is read where it is.
pub(super) fn is_parquet(path: &Path) -> bool {
    let mut magic = [0; 4];
    let file = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).and_then(|_| File::open(path).ok());
    file.is_some_and(|file| file.read_exact_at(&mut magic, 0).is_ok()) && &magic == b"PAR1"
}

/// The directory that a file is in, or will be.
pub(super) fn directory(path: &Path) -> PathBuf {
    // A symbolic link is replaced where it stands, or refused.
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        Some(_) | None => PathBuf::from("."),
    }
}
