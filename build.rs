//! Compiles the BPF programs and turns the shared header into Rust; both only for the `record` feature.

use std::path::Path;
use std::process::Command;

/// What the program is made of. Nothing else that changes makes it another one.
const SOURCES: [&str; 5] = ["src", "bpf", "build.rs", "Cargo.toml", "Cargo.lock"];

fn main() -> anyhow::Result<()> {
    SOURCES.iter().for_each(|path| println!("cargo:rerun-if-changed={path}"));
    println!("cargo:rustc-env=VMTRACE_GIT={}", git_commit());
    #[cfg(feature = "record")]
    record::build()?;
    Ok(())
}

/// Commit of the checkout, `-dirty` behind it where a source differs; empty outside a checkout.
fn git_commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_string())
    };
    // The log grows when another commit is checked out. The index is no sign of that: `git status` writes it, too.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return String::new() };
    let status = ["--no-optional-locks", "status", "--porcelain", "--untracked-files=no", "--"];
    match git(&[&status[..], &SOURCES].concat()) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}-dirty"),
    }
}

#[cfg(feature = "record")]
mod record {
    use std::env;
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use anyhow::ensure;
    use anyhow::{Context, Result};
    use bindgen::callbacks::{DeriveInfo, ParseCallbacks};
    use libbpf_rs::libbpf_sys::API_HEADERS;

    /// The BPF programs, compiled.
    const OBJECT: &str = "vmtrace.bpf.o";
    /// `bpf/wire.h` in Rust.
    const WIRE: &str = "wire.rs";

    /// Wire structs are read out of bytes, which zerocopy proves to be sound for each of them.
    #[derive(Debug)]
    struct WireDerives;

    impl ParseCallbacks for WireDerives {
        fn add_derives(&self, _info: &DeriveInfo<'_>) -> Vec<String> {
            ["zerocopy::FromBytes", "zerocopy::Immutable", "zerocopy::KnownLayout"].map(String::from).to_vec()
        }
    }

    /// Most builds change Rust alone. What was made of the same inputs stays.
    pub fn build() -> Result<()> {
        let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
        let (stamp, inputs) = (out.join("inputs"), inputs()?);
        let made = [OBJECT, WIRE].iter().all(|file| out.join(file).exists());
        if !made || std::fs::read_to_string(&stamp).ok().as_ref() != Some(&inputs) {
            // Where the following fails half-way, nothing must look finished.
            let _ = std::fs::remove_file(&stamp);
            wire(&out)?;
            programs(&out)?;
            std::fs::write(&stamp, &inputs)?;
        }
        println!("cargo:rustc-env=VMTRACE_WIRE_DIGEST={}", blake3::hash(&std::fs::read("bpf/wire.h")?));
        println!("cargo:rustc-env=VMTRACE_BPF_DIGEST={}", blake3::hash(&std::fs::read(out.join(OBJECT))?));
        Ok(())
    }

    /// A digest of all that the generated files depend on: sources, the libraries that bring headers, and the compiler.
    fn inputs() -> Result<String> {
        let sources = std::fs::read_dir("bpf")?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let mut sources = [sources, vec!["build.rs".into(), "Cargo.lock".into()]].concat();
        sources.sort();
        let mut hasher = blake3::Hasher::new();
        for source in sources {
            let content = std::fs::read(&source).with_context(|| format!("{} cannot be read", source.display()))?;
            hasher.update(source.as_os_str().as_encoded_bytes()).update(blake3::hash(&content).as_bytes());
        }
        let version = Command::new("clang").arg("--version").output().context("clang is missing: install it")?;
        Ok(hasher.update(&version.stdout).finalize().to_string())
    }

    fn wire(out: &Path) -> Result<()> {
        bindgen::Builder::default()
            .header("bpf/wire.h")
            .parse_callbacks(Box::new(WireDerives))
            .allowlist_item("(vmt|VMT)_.*")
            .prepend_enum_name(false)
            .derive_default(true)
            .generate()
            .context("bpf/wire.h could not be translated (is libclang installed?)")?
            .write_to_file(out.join(WIRE))
            .context("wire.rs cannot be written")
    }

    /// Names of sources, which are in the line information of the programs, without the directories of this machine: the same
    /// sources make the same object everywhere, whose digest is in each capture.
    fn places_of_sources(out: &Path) -> Result<[OsString; 2]> {
        let to = |from: &Path, name: &str| {
            let mut option = OsString::from("-ffile-prefix-map=");
            option.push(from);
            option.push("=");
            option.push(name);
            option
        };
        let here = env::current_dir().context("the current directory is not known")?;
        Ok([to(&out.join("include"), "include"), to(&here, ".")])
    }

    /// Compiles the programs with the headers of the libbpf that is linked. libbpf's linker leaves out the DWARF of clang, which
    /// contains paths of this machine. (libbpf-cargo does the same, with 30 crates more.)
    fn programs(out: &Path) -> Result<()> {
        let (headers, compiled) = (out.join("include/bpf"), out.join("compiled.o"));
        std::fs::create_dir_all(&headers)?;
        for (name, text) in API_HEADERS {
            std::fs::write(headers.join(name), text)?;
        }
        let status = Command::new("clang")
            .args(["-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_x86", "-g", "-O2", "-fno-stack-protector"])
            .args(["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-I"])
            .arg(out.join("include"))
            .args(places_of_sources(out)?)
            .args(["-c", "bpf/vmtrace.bpf.c", "-o"])
            .arg(&compiled)
            .status()
            .context("clang is missing: install it")?;
        ensure!(status.success(), "bpf/vmtrace.bpf.c could not be compiled (clang: {status})");
        let mut linker = libbpf_rs::Linker::new(out.join(OBJECT)).context("libbpf's linker cannot be used")?;
        linker.add_file(&compiled).context("the compiled BPF programs cannot be linked")?;
        linker.link().context("the BPF programs cannot be linked")
    }
}
