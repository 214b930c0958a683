//! What a command that reads captures gives up before it does: captures come from strangers, and a fault in reading them must not
//! become more than a wrong output.
//!
//! Entered before the first file is opened, and before threads are started, which get what the first thread has left. Each part is
//! taken as far as the kernel has it (Landlock since Linux 5.13), and nothing fails where it has not. What a command then cannot do:
//!
//! - open files other than those it was given, and write anywhere but beside its outputs (`files`, Landlock);
//! - execute programs, make sockets, look into other processes, load BPF programs, mount (`calls`, seccomp(2));
//! - use capabilities (`privileges`), or get them; leave a core dump, in which captured bytes would be.
//!
//! Before that it gets as many open files as it may have (`descriptors`). Owns that; which files a command needs is for the command. Imports nothing of vmtrace but how lines are said.

mod calls;
pub mod descriptors;
mod files;
mod privileges;
#[cfg(debug_assertions)]
mod tries;

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::terminal::say_line;

/// What of the sandbox this kernel has.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Available {
    /// The version of Landlock, which confines to files; 0 without it.
    pub landlock: u32,
    /// Whether system calls can be refused.
    pub seccomp: bool,
}

impl Available {
    /// As the kernel says it.
    pub fn here() -> Self {
        Available { landlock: files::version(), seccomp: calls::are_refusable() }
    }
}

impl Display for Available {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.landlock {
            0 => f.write_str("files: no, since Landlock (Linux 5.13) is not to be had here")?,
            version => write!(f, "files: yes (Landlock {version})")?,
        }
        f.write_str(match self.seccomp {
            true => "; system calls: yes (seccomp)",
            false => "; system calls: no, since this kernel has no seccomp",
        })
    }
}

/// The option by which a command keeps what it has.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Sandbox {
    /// Keep the right to open other files, execute programs and use the network, which reading a capture does not need
    #[arg(long)]
    no_sandbox: bool,
}

/// The files of a command.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    reads: Vec<PathBuf>,
    writes: Vec<PathBuf>,
    reads_anything: bool,
    writes_anything: bool,
    copies: bool,
    spills: bool,
}

impl Needs {
    /// Files that are read, as they were given: also `ARCHIVE:NAME`, and `-`.
    pub fn reading<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> Self {
        Needs { reads: files.into_iter().map(|file| file.as_ref().to_path_buf()).collect(), ..Needs::default() }
    }

    /// More of them.
    pub fn and_reading<P: AsRef<Path>>(mut self, files: impl IntoIterator<Item = P>) -> Self {
        self.reads.extend(Needs::reading(files).reads);
        self
    }

    /// And any others, which are only known later.
    pub fn and_reading_anything(self) -> Self {
        Needs { reads_anything: true, ..self }
    }

    /// And files that are written, which are only known later.
    pub fn and_writing_anything(self) -> Self {
        Needs { writes_anything: true, ..self }
    }

    /// And files without a name in the directory of temporary files. Captures in archives and from standard input get that by themselves.
    pub fn and_copies(self) -> Self {
        Needs { copies: true, ..self }
    }

    /// And files with names there.
    pub fn and_temporary_files(self) -> Self {
        Needs { copies: true, spills: true, ..self }
    }

    /// The directory of temporary files, if something is written there.
    fn temporary(&self) -> Option<PathBuf> {
        (self.copies || !self.reads.iter().all(|path| files::is_parquet(path))).then(std::env::temp_dir)
    }

    /// Files that are written, or replaced. What is written first is in the same directory, or in that of temporary files.
    pub fn and_writing<P: AsRef<Path>>(mut self, files: impl IntoIterator<Item = P>) -> Self {
        self.writes.extend(files.into_iter().map(|file| file.as_ref().to_path_buf()));
        self
    }
}

impl Sandbox {
    /// None: for callers in whose process other things go on.
    pub const NONE: Sandbox = Sandbox { no_sandbox: true };

    /// Gives up all that a command with these needs does not need.
    pub fn enter(self, needs: &Needs) {
        descriptors::raise();
        if !self.no_sandbox {
            restrict(needs);
        }
        #[cfg(debug_assertions)]
        tries::run();
    }
}

fn restrict(needs: &Needs) {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let mut failed: Vec<String> = Vec::new();
    let mut note = |what: &str, entered: Result<(), String>| {
        failed.extend(entered.err().map(|error| format!("{what}: {error}")));
    };
    note("core dumps", setrlimit(Resource::Core, no_core).map_err(|error| error.to_string()));
    note("capabilities", privileges::drop(needs));
    note("files", files::restrict(needs));
    note("system calls", calls::restrict());
    if !failed.is_empty() {
        say_line(format_args!("the sandbox is not whole ({}); --no-sandbox does without", failed.join("; ")));
    }
}
