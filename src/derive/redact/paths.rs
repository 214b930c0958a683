//! Texts with a structure: paths, command lines, cgroups. What is between their signs is replaced, the signs stay.

use super::kinds::Kind;
use super::known;
use super::names::Names;

/// Behind the path of a file that is not there any more.
const DELETED: &str = " (deleted)";
/// Before a path that was too long, and behind a command line.
const CUT: &str = "...";

impl Names {
    /// A path, component by component.
    pub(super) fn path(&mut self, text: &str) -> String {
        let (text, behind) = text.strip_suffix(DELETED).map_or((text, ""), |front| (front, DELETED));
        if let Some(made) = self.unnamed(text) {
            return format!("{made}{behind}");
        }
        let (front, text) = text.strip_prefix(CUT).map_or(("", text), |rest| (CUT, rest));
        let words: Vec<&str> = text.split('/').collect();
        let mut out = String::from(front);
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                out.push('/');
            }
            let before = |back: usize| at.checked_sub(back).and_then(|at| words.get(at)).copied().unwrap_or_default();
            let is_last = at + 1 == words.len();
            out += &self.component(word, [before(1), before(2), before(3)], is_last);
        }
        out + behind
    }

    /// A component of a path, by the three before it, the nearest first.
    fn component(&mut self, word: &str, before: [&str; 3], is_last: bool) -> String {
        let number = word.parse::<i64>().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()));
        let is_process = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        match (before, number) {
            _ if matches!(word, "" | "." | "..") => return word.to_string(),
            // A larger number is none of these, but perhaps a date, and becomes a pseudonym as any other component does.
            (["proc" | "task", ..], Some(pid)) if self.can_be(Kind::Pid, pid) => return self.pid(pid).to_string(),
            (["fd" | "fdinfo", ..], Some(fd)) if self.can_be(Kind::Fd, fd) => return self.fd(fd).to_string(),
            (["user", "run", _], Some(uid)) if self.can_be(Kind::Uid, uid) => {
                return self.number(Kind::Uid, uid.unsigned_abs()).to_string();
            }
            // The forms of a process' files stay at every level.
            ([process, "proc", _] | [_, process, "proc"], None)
                if (is_process(process) || ["self", "thread-self"].contains(&process))
                    && known::OF_A_PROCESS.contains(&word) =>
            {
                return word.to_string();
            }
            ([_, "task", _], None) if known::OF_A_PROCESS.contains(&word) => return word.to_string(),
            (["", "", ""], None) if word == "proc" => return word.to_string(),
            (["proc", ..], None) if ["self", "thread-self"].contains(&word) => return word.to_string(),
            _ => {}
        }
        if self.keep.keeps(Kind::Path, word) {
            return word.to_string();
        }
        if before[0] == "home" {
            return self.hashed("user-", word);
        }
        if let Some(name) = word.strip_prefix("memfd:") {
            return format!("memfd:{}", self.hashed("file-", name));
        }
        if self.keeps_known() && known::is_known(word) {
            return word.to_string();
        }
        let ending = known::ending(word).filter(|_| self.keeps_known()).map_or(String::new(), |e| format!(".{e}"));
        let front = if number.is_some() {
            "num-"
        } else if is_last {
            "file-"
        } else {
            "dir-"
        };
        self.hashed(front, word) + &ending
    }

    /// What has a number or a kind instead of a path: `pipe:[N]`, `anon_inode:[eventfd]`.
    fn unnamed(&mut self, text: &str) -> Option<String> {
        if let Some(kind) = text.strip_prefix("anon_inode:") {
            let word = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')).unwrap_or(kind);
            let is_known = known::ANONYMOUS.contains(&word);
            return Some(if is_known {
                text.to_string()
            } else {
                format!("anon_inode:{}", self.hashed("file-", kind))
            });
        }
        let (kind, number) = text.strip_suffix(']')?.split_once(":[")?;
        let number = number.parse().ok()?;
        known::NUMBERED.contains(&kind).then(|| format!("{kind}:[{}]", self.number(Kind::Inode, number)))
    }

    /// A command line: the name of the program, and of each other word its class.
    pub(super) fn argv(&mut self, text: &str) -> String {
        let words: Vec<String> = text
            .split(' ')
            .enumerate()
            .map(|(at, word)| if at == 0 { self.program(word) } else { self.word(word) })
            .collect();
        words.join(" ")
    }

    /// The name of a program, without the directories before it.
    pub(super) fn program(&mut self, word: &str) -> String {
        let name = word.rsplit('/').next().unwrap_or(word);
        let (front, name) = name.strip_prefix('-').map_or(("", name), |rest| ("-", rest));
        if name.is_empty() { front.to_string() } else { format!("{front}{}", self.comm(name)) }
    }

    /// A word of a command line by its class: path, option, number or text.
    pub(super) fn word(&mut self, word: &str) -> String {
        if word.is_empty() || word == CUT || self.keep.keeps(Kind::Word, word) {
            return word.to_string();
        }
        if let Some(option) = word.strip_prefix('-') {
            let (dash, option) = option.strip_prefix('-').map_or(("-", option), |rest| ("--", rest));
            return match option.split_once('=') {
                _ if option.is_empty() => dash.to_string(),
                Some((name, value)) => format!("{dash}{}={}", self.hashed("opt-", name), self.word(value)),
                None => format!("{dash}{}", self.hashed("opt-", option)),
            };
        }
        let digits = word.strip_prefix("0x").unwrap_or(word);
        if word.starts_with(|c: char| c.is_ascii_digit()) && digits.bytes().all(|b| b.is_ascii_hexdigit() || b == b'.')
        {
            return self.hashed("num-", word);
        }
        if word.contains('/') {
            return self.path(word);
        }
        match known::ending(word).filter(|_| self.keeps_known()) {
            Some(ending) => format!("{}.{ending}", self.hashed("file-", word)),
            None => self.hashed("text-", word),
        }
    }

    /// The path of a cgroup, unit by unit.
    pub(super) fn cgroup(&mut self, text: &str) -> String {
        if let Some(id) = text.strip_prefix("id:").and_then(|id| id.parse().ok()) {
            return format!("id:{}", self.number(Kind::Inode, id));
        }
        let units: Vec<String> = text.split('/').map(|unit| self.unit(unit)).collect();
        units.join("/")
    }

    fn unit(&mut self, unit: &str) -> String {
        if unit.is_empty()
            || self.keep.keeps(Kind::Cgroup, unit)
            || (self.keeps_known() && known::CGROUPS.contains(&unit))
        {
            return unit.to_string();
        }
        for (front, behind) in [("user-", ".slice"), ("user@", ".service")] {
            let uid = unit.strip_prefix(front).and_then(|rest| rest.strip_suffix(behind));
            if let Some(uid) = uid.and_then(|uid| uid.parse::<u32>().ok()) {
                return format!("{front}{}{behind}", self.number(Kind::Uid, uid.into()));
            }
        }
        let ending = known::ending(unit).filter(|_| self.keeps_known());
        let (name, behind) = match ending {
            Some(ending) => (unit.strip_suffix(&format!(".{ending}")).unwrap_or(unit), format!(".{ending}")),
            None => (unit, String::new()),
        };
        let container = name.rsplit_once('-').filter(|(runtime, _)| known::RUNTIMES.contains(runtime));
        match container.filter(|_| self.keeps_known()) {
            Some((runtime, id)) => format!("{runtime}-{}{behind}", self.hashed("ctr-", id)),
            None => self.hashed("unit-", name) + &behind,
        }
    }
}
