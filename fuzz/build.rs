//! lld drops sections that nothing names: libFuzzer finds its counters by their sections.

fn main() {
    println!("cargo:rustc-link-arg-bins=-Wl,-z,nostart-stop-gc");
    println!("cargo:rerun-if-changed=build.rs");
}
