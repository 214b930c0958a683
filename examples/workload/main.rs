//! Workload generator: makes transfers of bytes across address spaces, counts them, and says what it did.
//!
//! Used by tests and benches. It prints one JSON line: tallies by event, and for the first `--log` calls what a
//! recorder should have seen of each, under the names of the capture's columns. What is expected comes from the
//! arguments and from the numbered payload (`buffer::content`), never from a recorder. SIGTERM ends its loops, and the line is
//! still printed.

mod buffer;
mod drive;
mod edge;
mod layout;
mod mem;
mod open;
mod peer;
mod pipes;
mod progress;
mod report;
mod sendfile;
mod stop;
mod sweep;
mod sys;
mod trace;
mod vm;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use drive::Plan;
use report::Report;

#[derive(Debug, Parser)]
#[command(name = "workload", about = "Make counted transfers of bytes across address spaces")]
struct Cli {
    #[command(flatten)]
    plan: Plan,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// process_vm_readv from a forked child
    Readv,
    /// process_vm_writev into a forked child
    Writev,
    /// vmsplice into a pipe, or out of one
    Vmsplice {
        /// Take the bytes out of the pipe into user memory
        #[arg(long)]
        out: bool,
        /// Pass SPLICE_F_GIFT (give --size a multiple of 4096)
        #[arg(long, conflicts_with = "out")]
        gift: bool,
    },
    /// splice from pipe to pipe, or from a file
    Splice {
        /// Splice from a file with off_in given
        #[arg(long)]
        from_file: bool,
    },
    /// tee from pipe to pipe
    Tee,
    /// sendfile from a file
    Sendfile {
        /// Where to
        #[arg(long, default_value = "pipe")]
        to: sendfile::Sink,
        /// Pass an offset pointer
        #[arg(long)]
        offset: bool,
    },
    /// ptrace PEEKDATA or POKEDATA of one word in a forked child
    Ptrace {
        /// Which
        #[arg(long, default_value = "peek")]
        op: Word,
    },
    /// read or write /proc/PID/mem of a forked child
    Mem {
        /// The syscall
        #[arg(long = "with", default_value = "pread")]
        call: mem::MemCall,
    },
    /// open /proc/PID/mem of a forked child
    Open,
    /// One named edge case; `list` prints the names
    Edge {
        /// Its name
        name: String,
    },
    /// Many of the above, each in a process of its own; one line for each
    Sweep {
        /// Their command lines, one argument for each
        #[arg(required = true)]
        cases: Vec<String>,
    },
}

/// A ptrace word transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Word {
    Peek,
    Poke,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let plan = &cli.plan;
    if plan.noise {
        buffer::make_noise();
    }
    let mut report = Report::default();
    match cli.what {
        What::Readv => vm::run(plan, false, &mut report)?,
        What::Writev => vm::run(plan, true, &mut report)?,
        What::Vmsplice { out: true, .. } => pipes::vmsplice_out(plan, &mut report)?,
        What::Vmsplice { gift, .. } => pipes::vmsplice_in(plan, gift, &mut report)?,
        What::Splice { from_file: false } => pipes::splice(plan, &mut report)?,
        What::Splice { from_file: true } => pipes::splice_from_file(plan, &mut report)?,
        What::Tee => pipes::tee(plan, &mut report)?,
        What::Sendfile { to, offset } => sendfile::run(plan, to, offset, &mut report)?,
        What::Ptrace { op } => trace::run(plan, op == Word::Poke, &mut report)?,
        What::Mem { call } => mem::run(plan, call, &mut report)?,
        What::Open => open::run(plan, &mut report)?,
        What::Edge { name } => edge::run(plan, &name, &mut report)?,
        What::Sweep { cases } => return sweep::run(&cases),
    }
    report.print()
}
