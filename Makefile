# Two commands do everything on a fresh Debian 12 with Rust: `make demo` and `make test`.
.PHONY: demo test test-guests bench lint golden help

help:
	@echo 'make demo   install what is missing, build, record a real program, replay it'
	@echo 'make test   install what is missing, run every test (recording ones need root), also in guests'
	@echo 'make test-guests  only those in guests with Linux 5.10, 6.1, 6.12 and the newest of Debian'
	@echo 'make bench  measure everything that docs/benchmarks.md tells, and write it (needs root)'
	@echo 'make lint   rustfmt, clippy, clang-format, shellcheck'
	@echo 'make golden write the golden files and docs/FORMAT.md anew, to be read before committing'

demo:
	@scripts/install-deps build
	@scripts/demo

test:
	@scripts/install-deps build test guests bench
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

golden:
	UPDATE_GOLDEN=1 cargo test --no-default-features --test golden --test format_doc
