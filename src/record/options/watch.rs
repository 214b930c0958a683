//! Options of `vmtrace watch`: those of `record`, but for what is about files.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Error, FromArgMatches, value_parser};

use super::args::{Args, Printed};

/// Options of `vmtrace watch`.
#[derive(Debug)]
pub struct Watch(pub Args);

/// Options of `record` that are about files.
const ABOUT_FILES: [&str; 14] = [
    "output",
    "force",
    "file_size",
    "file_seconds",
    "files",
    "max_size",
    "flight_recorder",
    "trigger",
    "on_trigger",
    "on_file",
    "on_full",
    "sign_key",
    "comment",
    "memory_limit",
];

const HELP: &str = "\
Nothing is written to a disk. Watching ends when COMMAND ends, when the last process has ended that was selected by
number (without --comm and --target-comm), when a limit is reached, with ^C, or when whoever reads has closed the pipe: COMMAND's end is waited for then.
Exit status: as of record.";

impl clap::Args for Watch {
    fn augment_args(watch: Command) -> Command {
        let record = Args::augment_args(Command::new("record"));
        let args = record.get_arguments().map(|arg| match arg.get_id().as_str() {
            "print" => arg.clone().hide(true),
            "format" => format(),
            id if ABOUT_FILES.contains(&id) => arg.clone().hide(true),
            _ => arg.clone(),
        });
        watch.args(args.collect::<Vec<_>>()).after_help(HELP)
    }

    fn augment_args_for_update(watch: Command) -> Command {
        Self::augment_args(watch)
    }
}

/// Not only with `--print`.
fn format() -> Arg {
    let format = Arg::new("format").short('T').long("format").value_name("FORMAT");
    format.value_parser(value_parser!(Printed)).default_value("text").help("Format of what is printed")
}

impl FromArgMatches for Watch {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let is_given = |id: &&&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if let Some(id) = ABOUT_FILES.iter().find(is_given) {
            return Err(Error::raw(ErrorKind::ArgumentConflict, refusal(id)));
        }
        Args::from_arg_matches(matches).map(Watch)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn refusal(id: &str) -> String {
    let record = <Args as clap::Args>::augment_args(Command::new("record"));
    let found = record.get_arguments().find(|arg| arg.get_id() == id);
    let short = found.and_then(Arg::get_short).map_or(String::new(), |short| format!("-{short}, "));
    let long = found.and_then(Arg::get_long).unwrap_or(id);
    format!("{short}--{long} is about files, and watch writes none: use vmtrace record --print")
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    fn parse(words: &[&str]) -> Result<Watch, Error> {
        let matches = Watch::augment_args(Command::new("watch")).no_binary_name(true).try_get_matches_from(words)?;
        Watch::from_arg_matches(&matches)
    }

    #[test]
    fn what_is_about_files_is_refused() {
        for (words, option) in [
            (&["-o", "x"][..], "-o, --output"),
            (&["-C", "1M"], "-C, --file-size"),
            (&["--force"], "--force"),
            (&["--flight-recorder", "1s", "--trigger", "pid = 1"], "--flight-recorder"),
            (&["--on-file", "true"], "--on-file"),
        ] {
            let error = parse(&[words, &["-a"]].concat()).unwrap_err().to_string();
            let said = format!("{option} is about files, and watch writes none: use vmtrace record --print");
            assert_eq!(error.trim_end(), format!("error: {said}"), "{words:?}");
        }
        assert!(parse(&["-a", "--duration", "1s", "-e", "@vm"]).is_ok());
    }

    #[test]
    fn every_option_about_files_is_one_of_record() {
        let record = Args::augment_args(Command::new("record"));
        let ids: Vec<&str> = record.get_arguments().map(|arg| arg.get_id().as_str()).collect();
        assert!(ABOUT_FILES.iter().all(|id| ids.contains(id)), "{ids:?}");
        assert_eq!(parse(&["-T", "jsonl", "-a"]).unwrap().0.format, Printed::Jsonl);
        assert_eq!(parse(&["--", "true"]).unwrap().0.format, Printed::Text);
    }
}
