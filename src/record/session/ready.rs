//! What is said when the recording has begun: to people, to the service manager, and to a script that waits for it.

use std::fs::File;
use std::io::Write;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use sd_notify::NotifyState;

use crate::count::Count;
use crate::record::options::Options;
use crate::schema::manifest::FamilyReport;
use crate::schema::vocabulary::Tier;
use crate::terminal::say_line;

/// `--ready-fd`: a descriptor that we got from whoever started us, and close when there is something to be said.
#[derive(Debug)]
pub struct Ready(Mutex<Option<File>>);

impl Ready {
    /// Takes over the descriptor `number`. Not where one of ours can have this number: before any is opened.
    ///
    /// # Errors
    /// When we got no such descriptor.
    pub fn at(number: i32) -> Result<Self> {
        ensure!(number > 2, "--ready-fd {number}: 0, 1 and 2 are the standard streams: name another one, as in 3>FIFO");
        // SAFETY: it is only asked whether it is open; the borrow ends here.
        let is_open = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) });
        is_open.with_context(|| {
            format!("--ready-fd {number}: there is no such descriptor: open it, as in {number}>FIFO")
        })?;
        // SAFETY: it is open, and it was left to us for this.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(Ready(Mutex::new(Some(descriptor.into()))))
    }

    /// Writes a line break, and closes it: COMMAND must not get it.
    fn say(&self) {
        let taken = self.0.lock().ok().and_then(|mut file| file.take());
        // Who does not wait any more misses nothing.
        let _ = taken.map(|mut file| file.write_all(b"\n"));
    }
}

/// Says that the recording has begun. COMMAND is not running yet; where there is one, people need no word.
pub fn say(options: &Options, families: &[FamilyReport]) {
    if options.command.is_empty() && !options.quiet {
        say_line(format_args!("{}", sentence(options, families)));
    }
    options.ready.iter().for_each(Ready::say);
    // Without a service manager nothing happens, and one that cannot be reached finds out itself.
    let _ = sd_notify::notify(false, &[NotifyState::Ready]);
}

fn sentence(options: &Options, families: &[FamilyReport]) -> String {
    let pids: Vec<String> = options.pids.iter().map(ToString::to_string).collect();
    let who = match pids.as_slice() {
        _ if options.all => "every process".to_string(),
        [pid] => format!("pid {pid}"),
        pids => format!("pids {}", pids.join(", ")),
    };
    let of = |tier: Tier| families.iter().filter(|family| tier.is(&family.tier)).count() as u64;
    let tiers: Vec<(Tier, u64)> = Tier::ALL.iter().map(|tier| (*tier, of(*tier))).filter(|(_, n)| *n > 0).collect();
    let all = Count(families.len() as u64, "family", "families");
    let how = match tiers.as_slice() {
        [(Tier::None, _)] | [] => format!("{all}, not seen"),
        [(tier, _)] => format!("{all}, {} tier", tier.as_str()),
        several => {
            let several = several.iter().map(|(tier, number)| match tier {
                Tier::None => format!("{number} not seen"),
                Tier::Function | Tier::Tracepoint => format!("{number} {} tier", tier.as_str()),
            });
            format!("{all}: {}", several.collect::<Vec<_>>().join(", "))
        }
    };
    format!("recording {who} ({how}); ^C ends")
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::IntoRawFd;

    use super::*;

    #[test]
    fn the_sentence_says_who_and_how() {
        let family = |tier: Tier| FamilyReport { tier: tier.as_str().into(), ..FamilyReport::default() };
        let options = |pids: &[i32], all| Options { pids: pids.to_vec(), all, ..Options::for_check() };
        let one = sentence(&options(&[7], false), &[family(Tier::Tracepoint), family(Tier::Tracepoint)]);
        assert_eq!(one, "recording pid 7 (2 families, tracepoint tier); ^C ends");
        let mixed = [family(Tier::Tracepoint), family(Tier::Function), family(Tier::None), family(Tier::Function)];
        let words = "(4 families: 2 function tier, 1 tracepoint tier, 1 not seen); ^C ends";
        assert_eq!(sentence(&options(&[7, 8], false), &mixed), format!("recording pids 7, 8 {words}"));
        assert_eq!(sentence(&options(&[7], true), &mixed), format!("recording every process {words}"));
        assert_eq!(
            sentence(&options(&[], true), &[family(Tier::None)]),
            "recording every process (1 family, not seen); ^C ends"
        );
    }

    #[test]
    fn a_descriptor_gets_a_line_and_is_closed() {
        for number in [-1, 0, 2, i32::MAX] {
            let error = format!("{:#}", Ready::at(number).unwrap_err());
            assert!(error.starts_with(&format!("--ready-fd {number}: ")), "{error}");
        }
        let (mut from, to) = std::io::pipe().unwrap();
        let ready = Ready::at(OwnedFd::from(to).into_raw_fd()).unwrap();
        ready.say();
        ready.say();
        let mut said = String::new();
        from.read_to_string(&mut said).unwrap();
        assert_eq!(said, "\n");
    }
}
