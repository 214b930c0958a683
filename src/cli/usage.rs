//! What is said of a command line that cannot be read: one sentence, which names the option and what can be done.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::terminal::escape::SafeLine;

/// The sentence of an error of the parser; None where it prints help instead.
pub fn sentence(error: &clap::Error) -> Option<String> {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return None;
    }
    let remedy = match error.kind() {
        ErrorKind::InvalidValue => values(error),
        ErrorKind::MissingRequiredArgument => usage(error),
        // Without context it is a sentence of ours.
        ErrorKind::ArgumentConflict => error.context().next().map(|_| "leave out what you do not need".into()),
        // The reason says it.
        ErrorKind::ValueValidation => None,
        _ => similar(error).or_else(|| Some("see --help".into())),
    };
    let (said, has_list) = said(&error.render().to_string());
    let mark = if has_list { ';' } else { ':' };
    Some(remedy.map_or(said.clone(), |remedy| format!("{said}{mark} {remedy}")))
}

/// What the parser says first, on one line, and whether that ends in a list: lists are indented lines. Possible values are left out.
fn said(text: &str) -> (String, bool) {
    let (first, _) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = first.lines();
    let line = lines.next().unwrap_or_default();
    let listed: Vec<&str> = lines.map(str::trim).filter(|line| !line.starts_with("[possible values: ")).collect();
    match listed.is_empty() {
        true => (line.to_string(), false),
        false => (format!("{line} {}", listed.join(", ")), true),
    }
}

/// How the command is used.
fn usage(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return Some("see --help".into()) };
    let text = usage.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Some(lines.join(", or "))
}

/// The values that an option may have.
fn values(error: &clap::Error) -> Option<String> {
    let values = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => values,
        _ => return Some("see --help".into()),
    };
    let known = format!("give one of {}", values.join(", "));
    Some(similar(error).map_or(known.clone(), |similar| format!("{similar} {known}")))
}

/// What may have been meant.
fn similar(error: &clap::Error) -> Option<String> {
    let kinds = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let names = kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(name) => Some(name.clone()),
        ContextValue::Strings(names) if !names.is_empty() => Some(names.join(", ")),
        _ => None,
    })?;
    Some(format!("did you mean {}?", SafeLine(&names)))
}

#[cfg(test)]
mod tests {
    use super::super::definition;
    use super::*;

    fn said(words: &str) -> String {
        let error = definition().try_get_matches_from(words.split(' ')).unwrap_err();
        sentence(&error).unwrap_or_else(|| panic!("{words}: {error}"))
    }

    #[test]
    fn an_error_is_one_sentence_with_a_remedy() {
        let cases = [
            (
                "vmtrace redact t -o x --level nonsense",
                "error: invalid value 'nonsense' for '--level <LEVEL>': give one of payload, share, metadata",
            ),
            (
                "vmtrace redact t -o x --level shar",
                "error: invalid value 'shar' for '--level <LEVEL>': did you mean share? give one of payload, share, metadata",
            ),
            (
                "vmtrace redact t -o",
                "error: a value is required for '--output <OUT>' but none was supplied: see --help",
            ),
            ("vmtrace redact t -o x --lvel share", "error: unexpected argument '--lvel' found: did you mean --level?"),
            ("vmtrace report a b -o x", "error: unexpected argument 'b' found: see --help"),
            (
                "vmtrace redact --preview t -o x",
                "error: the argument '--preview' cannot be used with '--output <OUT>': leave out what you do not need",
            ),
            (
                "vmtrace bundle --check a -o b --level share",
                "error: the argument '--check <OUT.zip>' cannot be used with: --output <OUT.zip>, --level <LEVEL>; leave out \
                 what you do not need",
            ),
            ("vmtrace bundel", "error: unrecognized subcommand 'bundel': did you mean bundle?"),
        ];
        for (words, wanted) in cases {
            assert_eq!(said(words), wanted, "{words}");
        }
        let missing = said("vmtrace merge -o x");
        let wanted = "error: the following required arguments were not provided: <FILE>...; Usage: vmtrace merge ";
        assert!(missing.starts_with(wanted) && missing.lines().count() == 1, "{missing}");
        let size = said("vmtrace bundle a -o x --max-size abc");
        assert!(
            size.contains("'--max-size <SIZE>': \"abc\" is not a size: write 512M") && size.lines().count() == 1,
            "{size}"
        );
    }

    #[test]
    fn help_is_no_error() {
        for words in ["vmtrace", "vmtrace --help", "vmtrace redact --help", "vmtrace --version"] {
            let error = definition().try_get_matches_from(words.split(' ')).unwrap_err();
            assert_eq!(sentence(&error), None, "{words}");
        }
    }
}
