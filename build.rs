//! Compiles the BPF programs and turns the shared header into Rust; both only for the `record` feature.

use std::process::Command;

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rustc-env=VMTRACE_GIT={}", git_commit());
    #[cfg(feature = "record")]
    record::build()?;
    Ok(())
}

/// Commit of the checkout, `-dirty` behind it where the tree differs; empty outside a checkout.
fn git_commit() -> String {
    for path in [".git/HEAD", ".git/index"] {
        if std::path::Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_string())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return String::new() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}-dirty"),
    }
}

#[cfg(feature = "record")]
mod record {
    use std::env;
    use std::path::{Path, PathBuf};

    use anyhow::{Context, Result};
    use bindgen::callbacks::{DeriveInfo, ParseCallbacks};
    use libbpf_cargo::SkeletonBuilder;

    /// Wire structs are read out of bytes, which zerocopy proves to be sound for each of them.
    #[derive(Debug)]
    struct WireDerives;

    impl ParseCallbacks for WireDerives {
        fn add_derives(&self, _info: &DeriveInfo<'_>) -> Vec<String> {
            ["zerocopy::FromBytes", "zerocopy::Immutable", "zerocopy::KnownLayout"].map(String::from).to_vec()
        }
    }

    pub fn build() -> Result<()> {
        println!("cargo:rerun-if-changed=bpf");
        let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
        wire(&out)?;
        programs(&out)
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
            .write_to_file(out.join("wire.rs"))?;
        println!("cargo:rustc-env=VMTRACE_WIRE_DIGEST={}", blake3::hash(&std::fs::read("bpf/wire.h")?));
        Ok(())
    }

    fn programs(out: &Path) -> Result<()> {
        let object = out.join("vmtrace.bpf.o");
        SkeletonBuilder::new()
            .source("bpf/vmtrace.bpf.c")
            .obj(&object)
            .clang_args(["-mcpu=v3", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"])
            .build()
            .context("bpf/vmtrace.bpf.c could not be built (is clang installed?)")?;
        println!("cargo:rustc-env=VMTRACE_BPF_DIGEST={}", blake3::hash(&std::fs::read(&object)?));
        Ok(())
    }
}
