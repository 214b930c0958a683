//! Words for processes, errors and numbers. All text is safe for a terminal, and short.

use crate::model::tally::{Use, Who, Words};
use crate::replay::describe::Named;
use crate::schema::events::Group;
use crate::terminal::escape::Safe;

/// Characters shown of a name.
pub const NAME: usize = 40;
/// Characters shown of a command line.
const COMMAND: usize = 40;
/// Characters shown of a path.
const PATH: usize = 60;

/// The text, made safe and cut behind `most` characters.
pub fn short(text: &str, most: usize) -> String {
    // Cut first: a file may claim a text of any length.
    let front = text.char_indices().nth(most).map_or(text, |(end, _)| text.get(..end).unwrap_or_default());
    let more = if front.len() < text.len() { "…" } else { "" };
    format!("{}{more}", Safe(front))
}

/// `python3[26274]`.
pub fn name(who: &Who) -> String {
    let comm = who.comm.as_deref().unwrap_or_default();
    let host = who.host.as_deref().map(|host| format!("{}:", short(host, NAME))).unwrap_or_default();
    match comm.char_indices().nth(NAME) {
        Some((end, _)) => format!("{host}{}…[{}]", Safe(comm.get(..end).unwrap_or_default()), who.pid),
        None => format!("{host}{}", Named { host: None, name: Some(comm), pid: who.pid }),
    }
}

/// `python3[26274] (dumper.py 25296)`: with its arguments, and with its program where that has another name. Where the
/// process had another name before: `sshd[7] (-D), earlier rank0,`.
pub fn with_command(who: &Who) -> String {
    let earlier = match who.earlier_comm.as_deref() {
        Some(earlier) if who.earlier_comm != who.comm => format!(", earlier {},", short(earlier, NAME)),
        Some(_) | None => String::new(),
    };
    let command = who.command.as_deref().unwrap_or_default();
    let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
    let is_named = program.rsplit('/').next() == who.comm.as_deref();
    let shown = if is_named { arguments } else { command };
    let shown = match shown.trim() {
        "" => String::new(),
        shown => format!(" ({})", short(shown, COMMAND)),
    };
    format!("{}{shown}{earlier}", name(who))
}

/// Through what calls reached their target: the path of /proc/PID/mem, or else the event.
pub fn means(of: &Use) -> String {
    match (&of.path, of.spec.map(|spec| spec.group)) {
        (Some(path), Some(Group::Mem)) => {
            let more = if of.has_more_paths { " and other paths" } else { "" };
            format!("{}{more}", short(path, PATH))
        }
        _ => event(of.event.as_deref()),
    }
}

/// The name of an event.
pub fn event(event: Option<&str>) -> String {
    event.map_or_else(|| "other events".to_string(), |event| short(event, NAME))
}

/// `EIO`, or `EFAULT 2, EINVAL 1`: each error with its number where there are several.
pub fn errors(errors: &[(String, u64)]) -> String {
    match errors {
        [(only, _)] => only.clone(),
        several => several.iter().map(|(error, count)| format!("{error} {count}")).collect::<Vec<_>>().join(", "),
    }
}

/// Errors and their numbers, added up over several uses; the most frequent first.
#[derive(Debug, Default)]
pub struct Errors {
    /// Error and number.
    pub all: Vec<(String, u64)>,
}

impl Errors {
    /// Adds those that are `wanted`.
    pub fn add(&mut self, words: &Words, wanted: impl Fn(&str) -> bool) {
        let others = Some(("other errors", words.others())).filter(|(_, count)| *count > 0);
        for (error, count) in words.iter().filter(|(error, _)| wanted(error)).chain(others) {
            let error = short(error, NAME);
            match self.all.iter_mut().find(|(known, _)| *known == error) {
                Some((_, sum)) => *sum += count,
                None => self.all.push((error, count)),
            }
        }
        self.all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.all.iter().map(|(_, count)| count).sum()
    }
}

/// ` 3 times`; nothing for once.
pub fn times(count: u64) -> String {
    if count == 1 { String::new() } else { format!(" {} times", crate::count::grouped(count)) }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_says_what_the_name_does_not() {
        let who = |comm: &str, command: Option<&str>| Who {
            pid: 7,
            comm: Some(comm.into()),
            command: command.map(Into::into),
            ..Who::default()
        };
        let shown = |comm, command| with_command(&who(comm, command));
        assert_eq!(shown("python3", Some("/usr/bin/python3 dumper.py 2")), "python3[7] (dumper.py 2)");
        assert_eq!(shown("rank0", Some("python3 pair.py")), "rank0[7] (python3 pair.py)");
        assert_eq!(shown("dumper", Some("./dumper")), "dumper[7]");
        assert_eq!(shown("dumper", None), "dumper[7]");
        assert_eq!(with_command(&Who { pid: 7, ..Who::default() }), "pid 7");
        let renamed = Who { earlier_comm: Some("rank0".into()), ..who("sshd", Some("sshd -D")) };
        assert_eq!(with_command(&renamed), "sshd[7] (-D), earlier rank0,");
        assert_eq!(with_command(&Who { earlier_comm: Some("sshd".into()), ..renamed }), "sshd[7] (-D)");
        let long = shown("a", Some(&format!("x\x1b{}", "y".repeat(500))));
        assert!(long.starts_with("a[7] (x\\x1byyy") && long.ends_with("y…)") && long.len() < 80, "{long}");
        assert!(name(&who(&"é".repeat(500), None)).ends_with("é…[7]"));
    }

    #[test]
    fn lists_and_numbers_are_read_as_sentences() {
        let words = |items: &[&str]| list(&items.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!([words(&[]), words(&["a"]), words(&["a", "b"])], ["", "a", "a and b"]);
        assert_eq!(words(&["a", "b", "c"]), "a, b and c");
        assert_eq!([times(1), times(2000)], ["", " 2,000 times"]);
        assert_eq!(errors(&[("EIO".into(), 2)]), "EIO");
        assert_eq!(errors(&[("EIO".into(), 2), ("EPERM".into(), 1)]), "EIO 2, EPERM 1");
    }
}
