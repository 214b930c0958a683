//! The files that inputs in a decoded form are changes of.

/// Captures of real programs.
pub const CAPTURES: [&[u8]; 10] = [
    include_bytes!("../../samples/mpi-pair/mpi-pair.parquet"),
    include_bytes!("../../samples/pipe-relay/pipe-relay.parquet"),
    include_bytes!("../../samples/mem-editor/mem-editor.parquet"),
    include_bytes!("../../samples/failing-caller/failing-caller.parquet"),
    include_bytes!("../../samples/descriptor-thief/descriptor-thief.parquet"),
    include_bytes!("../../samples/caller32/caller32.parquet"),
    include_bytes!("../../samples/debugger/debugger.parquet"),
    include_bytes!("../../samples/forger/forger.parquet"),
    include_bytes!("../../samples/pipe-corruption/pipe-corruption.parquet"),
    include_bytes!("../../samples/runner-secrets/runner-secrets.parquet"),
];

/// What a killed recorder left: see docs/fuzzing.md for how it was made.
pub const UNFINISHED: &[u8] = include_bytes!("../bases/killed.parquet.partial");
/// The journal beside it.
pub const JOURNAL: &[u8] = include_bytes!("../bases/killed.parquet.journal-000001");
/// How records in a journal are laid out: its digest is in the journal.
pub const WIRE: &[u8] = include_bytes!("../../bpf/wire.h");

/// Signatures of the first capture.
pub const SIGNATURES: [&str; 3] =
    [include_str!("../bases/ed25519.sig"), include_str!("../bases/rsa.sig"), include_str!("../bases/ecdsa.sig")];
/// By whom they may be.
pub const ALLOWED_SIGNERS: &[u8] = include_bytes!("../bases/allowed_signers");
