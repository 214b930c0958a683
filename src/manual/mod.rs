//! `vmtrace man`: one manual page (man(7)) per command.
//!
//! Options come from the definition of the command line, the signs of `replay` from their table, everything else from [`pages`].
//! Does not depend on other commands.

mod pages;

use std::io::Write;

use anyhow::{Result, bail};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

pub(crate) use self::pages::PAGES;
use self::pages::Page;
use crate::terminal::signs;

/// Options of `vmtrace man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Command to describe, such as record; vmtrace itself without one
    command: Option<String>,
}

/// Prints the page of one command of the command line `vmtrace`.
///
/// # Errors
/// When this build has no such command, or stdout cannot be written.
pub fn run(args: &Args, vmtrace: clap::Command) -> Result<()> {
    let page = render(vmtrace, args.command.as_deref())?;
    std::io::stdout().write_all(&page)?;
    Ok(())
}

/// The page of a command, or of `vmtrace` itself.
pub(crate) fn render(mut vmtrace: clap::Command, name: Option<&str>) -> Result<Vec<u8>> {
    vmtrace.build();
    let commands: Vec<&str> = vmtrace.get_subcommands().map(clap::Command::get_name).filter(|n| *n != "help").collect();
    let wanted = name.unwrap_or("vmtrace");
    let command = match name {
        None => Some(&vmtrace),
        Some(name) => vmtrace.get_subcommands().find(|command| command.get_name() == name && name != "help"),
    };
    let page = PAGES.iter().find(|page| page.name == wanted);
    let (Some(command), Some(page)) = (command, page) else {
        bail!("no manual page of {wanted}: the commands are {}", commands.join(", "));
    };
    let mut out = Vec::new();
    let title = if name.is_some() { format!("vmtrace-{wanted}") } else { "vmtrace".into() };
    // Written here, since the roff library omits an empty date, and the version would take its place.
    writeln!(out, ".TH {title} 1 \"\" \"vmtrace {}\" \"vmtrace manual\"", env!("CARGO_PKG_VERSION"))?;
    front(&title, command, page).to_writer(&mut out)?;
    options(command, &mut out)?;
    back(&vmtrace, wanted, &commands, page).to_writer(&mut out)?;
    Ok(out)
}

/// Name, synopsis, description.
fn front(title: &str, command: &clap::Command, page: &Page) -> Roff {
    let mut roff = Roff::new();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    roff.control("SH", ["NAME"]).text([roman(format!("{title} - {about}"))]);
    roff.control("SH", ["SYNOPSIS"]);
    for (number, form) in page.synopsis.iter().enumerate() {
        if number > 0 {
            roff.control("br", []);
        }
        roff.text(synopsis(form));
    }
    roff.control("SH", ["DESCRIPTION"]);
    for (number, paragraph) in page.description.iter().enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*paragraph)]);
    }
    roff
}

/// A form of the command: literal words are bold, placeholders (in capitals) italic.
fn synopsis(form: &str) -> Vec<Inline> {
    let mut words = Vec::new();
    for (number, word) in form.split(' ').enumerate() {
        if number > 0 {
            words.push(roman(" "));
        }
        let name = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '-');
        let is_placeholder = name.chars().any(char::is_uppercase) && !name.chars().any(char::is_lowercase);
        let (before, after) = word.split_once(name).unwrap_or((word, ""));
        let inline = if is_placeholder { italic(name) } else { bold(name) };
        words.extend([roman(before), inline, roman(after)]);
    }
    words
}

/// The options; of a command that has commands of its own, theirs.
fn options(command: &clap::Command, out: &mut Vec<u8>) -> Result<()> {
    if command.get_name() == "vmtrace" || !command.has_subcommands() {
        Man::new(command.clone()).render_options_section(out)?;
        return Ok(());
    }
    for part in command.get_subcommands().filter(|part| part.get_name() != "help") {
        let about = part.get_about().map(ToString::to_string).unwrap_or_default();
        let mut roff = Roff::new();
        roff.control("SH", [part.get_name().to_uppercase().as_str()]).text([roman(about)]);
        roff.to_writer(out)?;
        Man::new(part.clone()).render_options_section(out)?;
    }
    Ok(())
}

/// Commands, signs in the output, exit status, examples, and where to read on.
fn back(vmtrace: &clap::Command, wanted: &str, commands: &[&str], page: &Page) -> Roff {
    let mut roff = Roff::new();
    if wanted == "vmtrace" {
        roff.control("SH", ["COMMANDS"]);
        for command in vmtrace.get_subcommands().filter(|command| commands.contains(&command.get_name())) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            roff.control("TP", []).text(reference(&format!("vmtrace-{}", command.get_name()), "1"));
            roff.text([roman(about)]);
        }
    }
    if wanted == "replay" {
        roff.control("SH", ["OUTPUT"]).text([roman("Text has these signs:")]);
        for (sign, meaning) in signs::LEGEND {
            roff.control("TP", []).text([bold(*sign)]).text([roman(*meaning)]);
        }
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in page.status {
        roff.control("TP", []).text([bold(*status)]).text([roman(*meaning)]);
    }
    roff.control("SH", ["EXAMPLES"]);
    for (number, (what, command)) in page.examples.iter().enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*what)]);
        roff.control("PP", []).control("RS", ["4"]).control("nf", []);
        roff.text([roman(*command)]);
        roff.control("fi", []).control("RE", []);
    }
    roff.control("SH", ["SEE ALSO"]).text(see_also(wanted, commands, page));
    roff
}

fn reference(name: &str, section: &str) -> Vec<Inline> {
    vec![bold(name), roman(format!("({section})"))]
}

/// Every other page of vmtrace in this build, then those of others.
fn see_also(wanted: &str, commands: &[&str], page: &Page) -> Vec<Inline> {
    let own = commands.iter().filter(|name| **name != wanted).map(|name| (format!("vmtrace-{name}"), "1"));
    let main = (wanted != "vmtrace").then(|| ("vmtrace".to_string(), "1"));
    let others = page.see_also.iter().map(|(name, section)| (name.to_string(), *section));
    let mut line = Vec::new();
    for (name, section) in main.into_iter().chain(own).chain(others) {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend(reference(&name, section));
    }
    line
}
