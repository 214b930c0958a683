//! The `vmtrace` command: see [`vmtrace::cli`].

/// The engine allocates and frees large batches of rows in turn, which costs less with it: see docs/query.md.
#[cfg(feature = "query")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    vmtrace::cli::main()
}
