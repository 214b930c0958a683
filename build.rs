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
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use anyhow::{Context, Result};
    use bindgen::callbacks::{DeriveInfo, ParseCallbacks};
    use libbpf_cargo::SkeletonBuilder;

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

    fn programs(out: &Path) -> Result<()> {
        SkeletonBuilder::new()
            .source("bpf/vmtrace.bpf.c")
            .obj(out.join(OBJECT))
            .clang_args(["-mcpu=v3", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"])
            .build()
            .context("bpf/vmtrace.bpf.c could not be built (is clang installed?)")
    }
}
