//! `vmtrace redact`: a capture with captured bytes, names, numbers and addresses made unrecognisable.
//!
//! Data flows one way: rows → the rule of each column (`rows`, `redactor`) → a file that is written anew (`writer`). What
//! stands for a value comes from a secret (`secret`) and the value alone (`names`, `paths`, `addresses`, `clocks`), so equal
//! values have equal pseudonyms, and memory does not grow with the file. Offline, without privileges.

mod addresses;
mod clocks;
mod group_clocks;
mod kinds;
pub mod known;
mod manifest;
mod map;
mod names;
mod options;
mod paths;
mod payload;
mod preview;
mod redactor;
pub mod rows;
pub mod rules;
mod secret;
pub mod sentences;
mod values;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use self::clocks::Shift;
use self::group_clocks::GroupClocks;
use self::map::{Content, Map, Of};
use self::names::Names;
use self::options::Keep;
use self::redactor::{Payloads, Redactor};
use self::secret::Secret;
use super::stated;
use super::tool;
use super::writer::Writer;
use crate::archive;
use crate::count::{self, Count, grouped};
use crate::model::reading;
use crate::sandbox::{Needs, Sandbox};
use crate::schema::derived::{self, Derivation, Source};
use crate::schema::limits::AllowLarge;

use crate::schema::quote::quoted;
use crate::schema::reader::{Capture, Scan};
use crate::schema::vocabulary::RedactionLevel;
use crate::terminal::escape::SafeLine;
use crate::terminal::{say_line, status};

/// What says in the manifest that payloads were kept and masked.
const MASKED: &str = "--payload masked";

/// Options of `vmtrace redact`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The result is a capture: replay, info, verify and the others take it. It says at which level it was \
redacted. docs/redaction.md has the rule of every column, and what redaction cannot hide.\nExit status: 0 the capture \
was written, 2 an error, and nothing was written."
)]
pub struct Args {
    /// Capture to redact; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write the redacted capture to OUT
    #[arg(short, long, value_name = "OUT", required_unless_present = "preview")]
    output: Option<PathBuf>,
    /// How much is hidden
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    level: Level,
    /// What becomes of captured bytes
    #[arg(long, value_enum, value_name = "PAYLOAD", default_value_t)]
    payload: Payload,
    /// Make pseudonyms with the secret in FILE, so that those of several captures are the same [default: a random secret]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Write the original of each pseudonym to MAP, for yourself
    #[arg(long, value_name = "MAP", conflicts_with = "preview")]
    map: Option<PathBuf>,
    /// Print the first rows as they are and as a reader would see them, and write nothing
    #[arg(long, conflicts_with = "output")]
    preview: bool,
    /// Keep values of a kind: comm, path, word, uid, host, cgroup, container or net
    #[arg(long, value_name = "KIND=NAME,...")]
    keep: Vec<String>,
    /// Leave columns out
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    drop: Vec<String>,
    /// Replace OUT, and MAP if it is of the same FILE, key and level
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// How much is hidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Captured bytes
    Payload,
    /// Also names, numbers and addresses; how they are connected stays, and so do well-known names
    #[default]
    Share,
    /// Also well-known names; command lines and addresses are removed
    Metadata,
}

impl From<Level> for RedactionLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Payload => RedactionLevel::Payload,
            Level::Share => RedactionLevel::Share,
            Level::Metadata => RedactionLevel::Metadata,
        }
    }
}

/// What becomes of captured bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Payload {
    /// They are removed
    #[default]
    Removed,
    /// They stay, with what looks like a secret masked; at the level share
    Masked,
}

/// Runs `vmtrace redact`; returns the exit status.
///
/// # Errors
/// One sentence: options that do not fit each other, a file that cannot be read or written, a capture that is redacted
/// more strictly already.
pub fn run(args: &Args) -> Result<u8> {
    let level = RedactionLevel::from(args.level);
    let masked = args.payload == Payload::Masked;
    ensure!(
        !masked || level == RedactionLevel::Share,
        "{MASKED} is for the level share: leave it out, or give --level share"
    );
    ensure!(
        args.keep.is_empty() || args.level != Level::Payload,
        "--keep: the level payload keeps all names: leave it out"
    );
    let keep = Keep::parse(&args.keep)?;
    let dropped = options::dropped(&args.drop)?;
    ensure!(
        !masked || !dropped.contains(&"payload"),
        "--drop payload: {MASKED} keeps these bytes: leave out one of the two"
    );
    check_apart(args)?;
    let secret = args.key.as_deref().map_or_else(Secret::random, Secret::read)?;
    // What is there must be a map of the same before it is replaced.
    let needs = Needs::reading([&args.file]).and_reading(args.key.iter().chain(&args.map));
    args.sandbox.enter(&needs.and_writing(args.output.iter().chain(&args.map)));
    let capture = Capture::open_within(&archive::file(&args.file)?, args.large.limits())?;
    check_stricter(&capture, level, masked)?;
    let mut redactor = Redactor {
        shift: Shift::of(&secret),
        names: Names::new(secret, level, keep, args.map.is_some()),
        masked,
        dropped,
        payloads: Payloads::default(),
        hosts: HashMap::new(),
    };
    match &args.output {
        Some(output) => write(args, output, &capture, &mut redactor)?,
        None => preview::print(&capture, &mut redactor)?,
    }
    Ok(status::OK)
}

/// A redaction of several captures, in which equal values get equal pseudonyms.
#[derive(Debug)]
pub struct Redaction {
    level: RedactionLevel,
    secret: Secret,
}

impl Redaction {
    /// A redaction at a level, with the secret of a file or else a random one.
    ///
    /// # Errors
    /// When the file cannot be the key.
    pub fn new(level: Level, key: Option<&Path>) -> Result<Self> {
        Ok(Redaction { level: level.into(), secret: key.map_or_else(Secret::random, Secret::read)? })
    }

    /// Writes a capture into `file`, redacted. What is made calls its source `name`, whatever that was called. Returns from how many
    /// rows captured bytes were removed.
    ///
    /// # Errors
    /// When the capture is redacted more strictly already, or cannot be read, or the file cannot be written.
    pub fn write(&self, capture: &Capture, name: &str, file: File) -> Result<u64> {
        check_stricter(capture, self.level, false)?;
        let mut redactor = Redactor {
            shift: Shift::of(&self.secret),
            names: Names::new(self.secret.clone(), self.level, Keep::default(), false),
            masked: false,
            dropped: Vec::new(),
            payloads: Payloads::default(),
            hosts: HashMap::new(),
        };
        let original = Of { file: name.to_string(), ..original(capture) };
        let mut manifest = manifest::redacted(&mut redactor, capture.manifest());
        let begin = super::beginning(&manifest);
        let mut writer = Writer::into(Path::new(name), file, &begin)?;
        let rows = copy(capture, &mut redactor, &mut writer)?;
        manifest.derived_from.push(step(&mut redactor, &original, rows));
        writer.close(&manifest)?;
        Ok(redactor.payloads.removed)
    }
}

/// No output takes the place of what the originals can be known from.
fn check_apart(args: &Args) -> Result<()> {
    let inputs = [("FILE", Some(&args.file)), ("--key", args.key.as_ref())];
    let outputs = [("-o", args.output.as_ref()), ("--map", args.map.as_ref())];
    for (of, output) in outputs.iter().filter_map(|(of, path)| Some((of, path.as_ref()?))) {
        let Ok(found) = output.metadata() else { continue };
        let found = (found.dev(), found.ino());
        let same = inputs.iter().find(|(_, input)| input.is_some_and(|input| archive::read_by(input).contains(&found)));
        if let Some((what, _)) = same {
            bail!("{of}: {} is {what} itself: choose another name", output.display());
        }
    }
    let [output, map] = [&args.output, &args.map].map(|path| path.as_deref().map(entry));
    ensure!(output.is_none() || output != map, "--map: it cannot have the name of -o: choose another name");
    Ok(())
}

/// The directory that a file is or will be in, however it is spelled, and the file's name there.
fn entry(path: &Path) -> (PathBuf, Option<&OsStr>) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (parent.canonicalize().unwrap_or_else(|_| parent.to_path_buf()), path.file_name())
}

/// Whether a capture can be redacted at a level: what is hidden in it does not come back.
fn check_stricter(capture: &Capture, level: RedactionLevel, masked: bool) -> Result<()> {
    let name = capture.path().display();
    stated::check([capture.manifest()]).with_context(|| name.to_string())?;
    for redaction in capture.manifest().derived_from.iter().filter_map(|step| step.redaction.as_ref()) {
        match RedactionLevel::parse(&redaction.level) {
            Ok(before) if before as u8 > level as u8 => bail!(
                "{name} is redacted at the level {} already, which hides more than {}: give --level {}",
                before.as_str(),
                level.as_str(),
                before.as_str()
            ),
            Ok(_) => {}
            Err(unknown) => {
                bail!(
                    "{name} is redacted at the level {}, which this vmtrace does not know: use a newer one",
                    SafeLine(&quoted(unknown))
                )
            }
        }
        ensure!(
            !masked || redaction.options.iter().any(|option| option == MASKED),
            "{name} is redacted already, and its payloads are removed: leave out {MASKED}"
        );
    }
    Ok(())
}

fn write(args: &Args, output: &Path, capture: &Capture, redactor: &mut Redactor) -> Result<()> {
    let original = original(capture);
    let mut manifest = manifest::redacted(redactor, capture.manifest());
    let level = redactor.names.level.as_str();
    let result = (manifest.capture_id.as_str(), level);
    let map = args.map.as_deref().map(|path| Map::create(path, args.force, &original, result)).transpose()?;
    let begin = super::beginning(&manifest);
    let mut writer = Writer::create(output, args.force, &begin)?;
    let rows = copy(capture, redactor, &mut writer)?;
    redactor.names.keep.check_met()?;
    manifest.derived_from.push(step(redactor, &original, rows));
    let root = writer.finish(&manifest)?;
    if let Some(map) = map {
        let name = output.file_name().unwrap_or(output.as_os_str()).to_string_lossy().into_owned();
        let redacted = Of { file: name, root: Some(root.clone()), capture_id: manifest.capture_id.clone() };
        let level = (level, rules::VERSION);
        let values = redactor.names.found.originals();
        map.publish(&Content::new([&original, &redacted], level, redactor.shift, values)?)?;
    }
    if let Err(error) = writer.publish() {
        // A map of a capture that does not exist would only be in the way.
        args.map.as_ref().map(std::fs::remove_file);
        return Err(error);
    }
    say(output, redactor, rows, &root);
    Ok(())
}

fn original(capture: &Capture) -> Of {
    let path = capture.path();
    Of {
        file: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        root: capture.root().map(str::to_string),
        capture_id: capture.manifest().capture_id.clone(),
    }
}

/// Writes every row; returns how many there are.
fn copy(capture: &Capture, redactor: &mut Redactor, writer: &mut Writer) -> Result<u64> {
    let clocks = GroupClocks::of(capture);
    let at = |redactor: &Redactor, row: u64| {
        let clocks = clocks.at(row);
        if redactor.hides() { redactor.shift.clocks(&clocks) } else { clocks }
    };
    let mut rows = 0u64;
    reading::each(capture, &Scan::default(), |batch| {
        for event in batch.iter() {
            let clocks = at(redactor, rows);
            redactor.row(&event, |row| writer.push(row, clocks))?;
            rows += 1;
        }
        Ok(())
    })?;
    Ok(rows)
}

/// What the manifest says of this redaction.
fn step(redactor: &mut Redactor, original: &Of, rows: u64) -> Derivation {
    let level = redactor.names.level.as_str().to_string();
    let mut options: Vec<String> = redactor.masked.then(|| MASKED.to_string()).into_iter().collect();
    options.extend(redactor.names.keep.options());
    options.extend(redactor.dropped.iter().map(|column| format!("--drop {column}")));
    let mut argv: Vec<String> = ["vmtrace", "redact", "--level", &level].map(str::to_string).into();
    argv.extend(options.iter().flat_map(|option| option.split(' ').map(str::to_string)));
    let source = Source {
        file: manifest::file(redactor, &original.file),
        root: original.root.clone(),
        capture_id: manifest::capture(redactor, &original.capture_id),
        rows,
        taken: rows,
    };
    let values = redactor.names.found.counts();
    Derivation {
        command: "redact".into(),
        argv,
        tool: tool(),
        sources: vec![source],
        left_out: left_out(redactor),
        redaction: Some(derived::Redaction { level, rules: rules::VERSION, options, values }),
    }
}

/// What was removed, in sentences.
fn left_out(redactor: &Redactor) -> Vec<String> {
    let Payloads { removed, bytes, secrets } = redactor.payloads;
    let mut all = Vec::new();
    if removed > 0 {
        all.push(format!("payloads of {} ({})", count::rows(removed), count::bytes(bytes)));
    }
    if secrets > 0 {
        all.push(format!("{} in payloads, masked", Count(secrets, "secret", "secrets")));
    }
    for kind in redactor.names.found.uncounted() {
        all.push(format!("more values of the kind {} than are counted", kind.name()));
    }
    all
}

fn say(output: &Path, redactor: &Redactor, rows: u64, root: &str) {
    let (name, level) = (output.display(), redactor.names.level.as_str());
    say_line(format_args!("{name}: {} redacted at the level {level}, root digest {root}", count::rows(rows)));
    let counts = redactor.names.found.counts();
    let counts: Vec<String> = counts.iter().map(|of| format!("{} {}", grouped(of.distinct), of.kind)).collect();
    let mut parts = left_out(redactor);
    if !counts.is_empty() {
        parts.insert(0, format!("replaced: {}", counts.join(", ")));
    }
    if !parts.is_empty() {
        say_line(format_args!("{name}: {}", parts.join("; ")));
    }
}
