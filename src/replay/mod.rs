//! `vmtrace replay`: captures printed as timelines, without privileges, on any machine.
//!
//! Data flows one way: schema → selection → (timelines) → model → renderer, or exporter. A renderer sees one event after
//! another, with what the model knows by then, and knows nothing of files or options. Captured text passes `terminal::escape` on its way out, wherever it goes.

pub(crate) mod describe;
pub(crate) mod dump;
pub mod flows;
mod folding;
mod form;
pub mod info;
pub mod live;
pub mod memory;
mod snapshots;
pub mod summary;
mod text;
mod timelines;

use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use self::form::Form;
use self::text::{Look, Text};
use crate::archive;
use crate::export::csv::Csv;
use crate::export::jsonl::Jsonl;
use crate::export::unmatched::explain;
use crate::export::{Export, Origin};
use crate::model::process::Processes;
use crate::model::select::{CaptureFilter, Decision, Filter, Select, View};
use crate::model::time;
use crate::sandbox::{Needs, Sandbox, descriptors};
use crate::schema::limits::{AllowLarge, Limits};
use crate::schema::reader::Capture;
use crate::schema::{Event, EventBatch};
use crate::terminal::pager::Output;
use crate::terminal::{self, ColorWhen, signs, status};

/// Options of `vmtrace replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Gaps in the recording (lost events) are always shown. Exit status: 0 events were printed, 1 \
no event matched, 2 an error.")]
pub struct Args {
    /// Captures to print, one after another; - is standard input
    #[arg(required_unless_present = "legend", value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    select: Select,
    /// Only calls through which the bytes of row SEQ went, by way of pipes: where they came from and went, as vmtrace flows
    /// knows it
    #[arg(long, value_name = "SEQ", help_heading = "Selection")]
    follow: Option<u64>,
    /// Stop after N events
    #[arg(short = 'c', long = "count", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Order of the text output
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    by: Order,
    /// How instants are written (text); with local, --since and --until are in this machine's time zone, too
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    time: time::Notation,
    /// Show captured bytes under each line, with their addresses in the target's memory, or in the caller's if the target's
    /// has no part in the call (text)
    #[arg(short = 'x', long, help_heading = "Output")]
    hexdump: bool,
    /// Output format
    #[arg(short = 'T', long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,
    /// Colour the output
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", help_heading = "Output")]
    color: ColorWhen,
    #[command(flatten)]
    form: Form,
    /// Print what every sign in the text output means, and nothing else
    #[arg(long, exclusive = true, help_heading = "Output")]
    legend: bool,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

impl Args {
    /// Whether the output may go through a pager.
    fn pages(&self) -> bool {
        self.format == Format::Text && !self.form.no_pager && std::io::stdout().is_terminal()
    }
}

/// Order of the text output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Order {
    /// As things happened, with a heading where the process changes
    #[default]
    Time,
    /// One process after another
    Process,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Timelines to read
    #[default]
    Text,
    /// One JSON object per event
    Jsonl,
    /// Comma-separated values with a header
    Csv,
}

/// One output format. Errors are those of the output.
trait Render {
    /// A capture begins.
    fn capture(&mut self, capture: &Capture) -> Result<()>;
    /// Something else begins, out of the order of time, under `title` where that is not empty.
    fn section(&mut self, _title: &'static str) {}
    /// Sentences about all that is to come of the capture. They are safe for a terminal.
    fn opening(&mut self, _sentences: &[String]) {}
    /// An event, to be shown from the side of `view`, and the processes known so far. Returns how many events are shown now, of
    /// the `left` at most that may be: some were held back, and it may be itself.
    fn event(&mut self, event: &Event<'_>, view: View, processes: &Processes, left: u64) -> Result<u64>;
    /// A capture ends, or nothing more is wanted of it. Returns how many events are shown now, of the `left` that may be.
    fn end(&mut self, _processes: &Processes, _left: u64) -> Result<u64> {
        Ok(0)
    }
    /// Everything so far goes out.
    fn flush(&mut self) -> Result<()>;
    /// Everything has been shown, and whoever reads it has ended.
    fn close(&mut self) -> Result<()> {
        self.flush()
    }
}

/// A format for other programs, to which it does not matter from which side an event is shown.
struct Exported<E>(E);

impl<E: Export> Render for Exported<E> {
    fn capture(&mut self, capture: &Capture) -> Result<()> {
        self.0.capture(&Origin::from(capture))
    }

    fn event(&mut self, event: &Event<'_>, _view: View, _processes: &Processes, _left: u64) -> Result<u64> {
        self.0.event(event).map(|()| 1)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

/// Runs `vmtrace replay`; returns the exit status.
///
/// # Errors
/// Options that are wrong, or an output that cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    if args.legend {
        std::io::stdout().write_all(signs::legend().as_bytes())?;
        return Ok(status::OK);
    }
    let mut filter = Filter::in_zone(&args.select, args.time.zone())?;
    // A pager is a program: it must have begun.
    let output = output(args)?;
    args.sandbox.enter(&Needs::reading(&args.files));
    let files = archive::files(&args.files)?;
    if let Some(seq) = args.follow {
        let rows = flows::rows(&files, seq, args.large.limits())?;
        if rows.is_empty() {
            return Ok(status::NO_MATCH);
        }
        filter = filter.of_rows(rows);
    }
    let mut replay = Replay {
        order: args.by,
        limits: args.large.limits(),
        form: args.form,
        is_text: args.format == Format::Text,
        left: args.count.unwrap_or(u64::MAX),
        printed: 0,
        processes: Processes::default(),
        render: renderer(args, output, files.len() > 1)?,
    };
    let mut failed = false;
    let mut has_gone = false;
    // A pager shows its text until it ends: nothing comes between.
    let mut later = Vec::new();
    for path in &files {
        let Err(error) = replay.file(path, &filter) else { continue };
        if terminal::is_broken_pipe(&error) {
            has_gone = true;
            break;
        }
        failed = true;
        // What was printed before the damage comes before the error.
        let flushed = replay.render.flush();
        if args.pages() {
            later.push(error)
        } else {
            descriptors::report(&error)
        }
        has_gone = reader_has_gone(flushed)?;
        if has_gone {
            break;
        }
    }
    let closed = replay.render.close();
    later.iter().for_each(descriptors::report);
    has_gone |= reader_has_gone(closed)?;
    Ok(match (failed, replay.printed) {
        (true, _) => status::ERROR,
        // Nobody waits for what else there is.
        (false, _) if has_gone => status::OK,
        (false, 0) => {
            explain(&files, replay.limits, &filter)?;
            status::NO_MATCH
        }
        (false, _) => status::OK,
    })
}

/// Whether output could not be written as nobody reads it any more.
fn reader_has_gone(written: Result<()>) -> Result<bool> {
    match written {
        Err(error) if terminal::is_broken_pipe(&error) => Ok(true),
        written => written.map(|()| false),
    }
}

fn output(args: &Args) -> Result<Output> {
    let mut output = if args.pages() { Output::Unused } else { Output::Plain(std::io::stdout().lock()) };
    let nothing = output.write(&[]);
    nothing.map(|_| output).context("cannot write the output")
}

fn renderer(args: &Args, output: Output, name_files: bool) -> Result<Box<dyn Render>> {
    let asks_for_text = args.by != Order::Time || args.hexdump || args.form.is_given();
    ensure!(
        args.format == Format::Text || !asks_for_text,
        "--by process, --hexdump{} are for text; leave them out or use -T text",
        form::NAMES
    );
    let out = BufWriter::with_capacity(1 << 16, output);
    Ok(match args.format {
        Format::Text => Box::new(Text::new(
            out,
            Look {
                color: args.color.on_stdout(),
                hexdump: args.hexdump,
                time: args.time,
                name_files,
                columns: args.form.columns(),
                fold: args.form.folds() && !args.hexdump,
                snapshots: args.form.shows_snapshots(),
            },
        )),
        Format::Jsonl => Box::new(Exported(Jsonl::new(out))),
        Format::Csv => Box::new(Exported(Csv::new(out))),
    })
}

/// A replay under way, over all files.
struct Replay {
    order: Order,
    limits: Limits,
    form: Form,
    is_text: bool,
    left: u64,
    printed: u64,
    processes: Processes,
    render: Box<dyn Render>,
}

impl Replay {
    fn file(&mut self, path: &Path, filter: &Filter) -> Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        let capture = Capture::open_within(path, self.limits)?;
        let filter = filter.of(&capture)?;
        self.processes = Processes::default();
        self.render.capture(&capture)?;
        self.render.flush()?;
        if self.is_text && self.form.summarises(capture.rows()) {
            // Where the capture is damaged, the events before that come first, and then the error.
            if let Ok(sentences) = summary::sentences_of(&capture, &filter) {
                self.render.opening(&sentences);
            }
        }
        let shown = match self.order {
            Order::Time => self.events(&capture, &filter),
            Order::Process => self.processes(&capture, &filter),
        };
        // What was held back comes before an error, which counts more than that nobody reads on.
        let ended = self.render.end(&self.processes, self.left);
        let flushed = self.render.flush();
        shown?;
        self.left = self.left.saturating_sub(ended?);
        flushed
    }

    fn processes(&mut self, capture: &Capture, filter: &CaptureFilter<'_>) -> Result<()> {
        let render = &mut self.render;
        // It writes nothing, and would go on for nobody.
        for timeline in timelines::find(capture, filter, || render.flush())? {
            self.render.section("");
            self.events(capture, &filter.only(timeline.process, timeline.first, timeline.last))?;
        }
        // Some may be where no process was seen.
        self.render.section("All gaps in the recording");
        self.events(capture, &filter.gaps())
    }

    fn events(&mut self, capture: &Capture, filter: &CaptureFilter<'_>) -> Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        let batches = capture.scan(filter.scan())?;
        std::thread::scope(|scope| {
            // One batch is decoded while one is printed: a batch may be large. The thread ends with the receiver.
            let (send, taken) = std::sync::mpsc::sync_channel(0);
            let decode = move || batches.into_iter().map_while(|batch| send.send(batch).ok()).for_each(drop);
            std::thread::Builder::new().spawn_scoped(scope, decode).context("cannot start a thread to decode with")?;
            for batch in taken {
                self.batch(&batch?, filter)?;
                if self.left == 0 {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Prints the events of a batch.
    fn batch(&mut self, batch: &EventBatch, filter: &CaptureFilter<'_>) -> Result<()> {
        for event in batch.iter() {
            let decision = filter.decide(&event);
            if decision == Decision::Skip {
                continue;
            }
            self.processes.note(&event);
            match decision {
                Decision::Skip => {}
                Decision::Gap => {
                    self.render.event(&event, View::Caller, &self.processes, self.left)?;
                }
                Decision::Show(view) => {
                    let shown = self.render.event(&event, view, &self.processes, self.left)?;
                    self.printed += 1;
                    self.left = self.left.saturating_sub(shown);
                }
            }
            if self.left == 0 {
                break;
            }
        }
        // Flushed after each batch: the first line appears at once, and a slow search shows its results so far.
        self.render.flush()
    }
}
