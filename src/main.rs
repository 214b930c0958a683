//! The `vmtrace` command: see [`vmtrace::cli`].

fn main() -> std::process::ExitCode {
    vmtrace::cli::main()
}
