# On a fresh Debian 12 with Rust, two commands do all the set-up: `make demo` and `make test`.
.PHONY: demo test test-guests bench lint golden package tarball help

help:
	@echo 'make demo         install missing packages, build, record a real program, replay it'
	@echo 'make test         install missing packages, run every test; recording tests and guests need root'
	@echo 'make test-guests  run the tests in guests: Debian kernels 5.10, 6.1, 6.12 and newest'
	@echo 'make bench        run the benchmarks and write docs/benchmarks.md (needs root)'
	@echo 'make package      make a Debian package of a release build'
	@echo 'make tarball      make an archive of readers, query and viewer, for glibc 2.31 and later'
	@echo 'make lint         rustfmt, clippy, clang-format, shellcheck, links of the documents'
	@echo 'make golden       write the golden files and docs/FORMAT.md again; read the difference before you commit it'

demo:
	@scripts/install-deps build
	@scripts/demo

test:
	@scripts/install-deps build test page package guests bench
	@scripts/test

test-guests:
	@scripts/install-deps build test guests
	@tests/guests/check

bench:
	@scripts/install-deps build guests bench
	@scripts/bench

lint:
	@scripts/install-deps build lint
	@scripts/lint

package:
	@scripts/install-deps build package
	cargo build --release --features remote
	packaging/build "$${CARGO_TARGET_DIR:-target}/release/vmtrace" "$${CARGO_TARGET_DIR:-target}/package"

tarball:
	@scripts/install-deps package
	packaging/old-glibc "$${CARGO_TARGET_DIR:-target}/glibc" cargo rustc --release --no-default-features --features query,view --bin vmtrace --
	packaging/tarball "$${CARGO_TARGET_DIR:-target}/release/vmtrace" "$${CARGO_TARGET_DIR:-target}/package"

golden:
	UPDATE_GOLDEN=1 cargo test --no-default-features --test golden --test format_doc --test export
