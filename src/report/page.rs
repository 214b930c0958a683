//! The page: its parts put together, with a policy that lets the browser run these scripts and styles and nothing else.
//!
//! Owns the order of the modules, how they become one script, and the escaping of text in the page. Nothing of a capture
//! gets into a script or an attribute: its words stand here as escaped text, everything else as base64.

use std::io::Write;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// A module and its text.
macro_rules! modules {
    ($($name:literal),+ $(,)?) => {
        /// The modules, each behind those that it imports.
        pub(super) const MODULES: &[(&str, &str)] = &[$(($name, include_str!(concat!("page/", $name)))),+];
    };
}

modules![
    "text.js",
    "elements.js",
    "unpack.js",
    "numbers.js",
    "columns.js",
    "events.js",
    "glob.js",
    "values.js",
    "where.js",
    "state.js",
    "select.js",
    "canvas.js",
    "overview.js",
    "draw.js",
    "lanes.js",
    "pairs.js",
    "flows.js",
    "sort.js",
    "table.js",
    "hexdump.js",
    "detail.js",
    "filter.js",
    "main.js",
];
/// What is read and used, charts and tables, paper.
const STYLE: &str =
    concat!(include_str!("page/style.css"), include_str!("page/data.css"), include_str!("page/print.css"));
const TEMPLATE: &str = include_str!("page/index.html");

/// What a page is made of, beside the parts that are always the same.
pub(super) struct Parts<'a> {
    /// The name of the capture.
    pub name: &'a str,
    /// What was lost, or cannot be trusted: red.
    pub warnings: &'a [String],
    /// What the page leaves out.
    pub left_out: &'a [String],
    /// The sentences of the summary.
    pub sentences: &'a [String],
    /// What is known of the recording: a term and its values.
    pub facts: &'a [(&'static str, Vec<String>)],
}

/// Writes a page; `data` writes the elements with what the scripts read.
///
/// # Errors
/// Those of `out`.
pub(super) fn write<W: Write>(out: &mut W, parts: &Parts<'_>, data: impl FnOnce(&mut W) -> Result<()>) -> Result<()> {
    let script = script();
    let style = lines(STYLE);
    let mut data = Some(data);
    for (number, part) in TEMPLATE.split("@@").enumerate() {
        // Words between two marks name what stands there.
        match part {
            text if number % 2 == 0 => out.write_all(lines(text).as_bytes())?,
            "policy" => write!(out, "{}", policy(&script, &style))?,
            "style" => out.write_all(style.as_bytes())?,
            "script" => out.write_all(script.as_bytes())?,
            "name" => write!(out, "{}", escape(parts.name))?,
            "warnings" => paragraphs(out, parts.warnings)?,
            "left-out" => paragraphs(out, parts.left_out)?,
            "sentences" => paragraphs(out, parts.sentences)?,
            "facts" => facts(out, parts.facts)?,
            "data" => data.take().map_or(Ok(()), |data| data(out))?,
            other => unreachable!("the template has no {other}"),
        }
    }
    Ok(())
}

fn paragraphs(out: &mut impl Write, sentences: &[String]) -> std::io::Result<()> {
    sentences.iter().try_for_each(|sentence| writeln!(out, "<p>{}</p>", escape(sentence)))
}

fn facts(out: &mut impl Write, facts: &[(&'static str, Vec<String>)]) -> std::io::Result<()> {
    let is_known = |values: &[String]| values.iter().any(|value| !value.trim().is_empty());
    for (term, values) in facts.iter().filter(|(_, values)| is_known(values)) {
        write!(out, "<div><dt>{}</dt>", escape(term))?;
        values.iter().try_for_each(|value| write!(out, "<dd>{}</dd>", escape(value)))?;
        writeln!(out, "</div>")?;
    }
    Ok(())
}

/// Nothing but this script and this style, and no request at all.
fn policy(script: &str, style: &str) -> String {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        hash(script),
        hash(style)
    )
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// Lines end as the browser hands them to its digest.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// The modules as one. They use one form of import and export each (a test holds them to it): imports are left out, since
/// what they name stands above, and so is the word `export`.
pub(super) fn script() -> String {
    let mut script = String::from("\n");
    for (name, text) in MODULES {
        script += &format!("// {name}\n");
        for line in text.lines().filter(|line| !line.starts_with("import ")) {
            script += line.strip_prefix("export ").unwrap_or(line);
            script.push('\n');
        }
    }
    script
}

/// Text between tags, or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn text_is_no_markup() {
        assert_eq!(escape("<b a='1' c=\"2\">&"), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;");
    }

    /// What a module exports: `export function name(`, `export const NAME =`, `export class Name {`.
    fn exported(line: &str) -> Option<&str> {
        let rest = line.strip_prefix("export ")?;
        let rest = ["async function ", "function ", "const ", "class "].iter().find_map(|kind| rest.strip_prefix(kind));
        let rest = rest.unwrap_or_else(|| panic!("no such export is known: {line}"));
        rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').next()
    }

    #[test]
    fn modules_have_the_one_form_of_import_and_export() {
        let mut known: HashSet<(&str, &str)> = HashSet::new();
        for (name, text) in MODULES {
            for line in text.lines() {
                if let Some(rest) = line.strip_prefix("import ") {
                    let parts = rest.strip_prefix("{ ").and_then(|rest| rest.split_once(" } from \"./"));
                    let (names, from) = parts.unwrap_or_else(|| panic!("{name}: {line}"));
                    let from = from.strip_suffix("\";").unwrap_or_else(|| panic!("{name}: {line}"));
                    for imported in names.split(", ") {
                        assert!(known.contains(&(from, imported)), "{name}: {imported} of {from} is not above it");
                    }
                } else if let Some(own) = exported(line) {
                    known.insert((*name, own));
                }
                assert!(!line.contains("import(") || line.contains("@") || line.contains("* "), "{name}: {line}");
            }
        }
    }

    #[test]
    fn no_two_modules_use_one_name() {
        let mut names: HashSet<&str> = HashSet::new();
        let declared = |line: &'static str| {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let kinds = ["async function ", "function ", "const ", "let ", "class "];
            let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
            rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').next()
        };
        for (module, text) in MODULES {
            for name in text.lines().filter_map(declared) {
                assert!(names.insert(name), "{module}: {name} is declared elsewhere, too");
            }
        }
        assert!(names.len() > 50);
    }

    #[test]
    fn the_script_ends_where_it_should() {
        let script = script();
        assert!(!script.to_ascii_lowercase().contains("</script") && !script.contains("<!--"));
        assert!(!script.lines().any(|line| line.starts_with("import ") || line.starts_with("export ")));
        assert!(!STYLE.contains("</") && !TEMPLATE.contains("style="));
    }

    #[test]
    fn every_module_is_in_the_page() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/page");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut scripts: Vec<String> = files.filter(|name| name.ends_with(".js")).collect();
        let mut wanted: Vec<&str> = MODULES.iter().map(|(name, _)| *name).collect();
        scripts.sort();
        wanted.sort_unstable();
        assert_eq!(scripts, wanted);
    }
}
