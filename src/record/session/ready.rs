//! What is said when the recording has begun: to people, to the service manager, and to a script that waits for it.

use sd_notify::NotifyState;

use crate::count::Count;
use crate::record::names::Names;
use crate::record::options::{Options, Ready};
use crate::schema::manifest::FamilyReport;
use crate::schema::vocabulary::Tier;
use crate::terminal::say_line;

/// Says that the recording has begun. COMMAND is not running yet; where there is one, people need no word.
pub fn say(options: &Options, families: &[FamilyReport]) {
    if options.command.is_empty() && !options.quiet {
        say_line(format_args!("{}", sentence(options, families)));
    }
    options.ready.iter().for_each(Ready::say);
    // Without a service manager nothing happens, and one that cannot be reached finds out itself.
    let _ = sd_notify::notify(false, &[NotifyState::Ready]);
}

/// Who is recorded.
fn who(options: &Options) -> String {
    if options.all {
        return "every process".into();
    }
    let of = |pids: &[i32]| {
        let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
        format!("{} {}", if pids.len() == 1 { "pid" } else { "pids" }, pids.join(", "))
    };
    let names = |names: &Names| names.patterns().join(" or ");
    let below = if options.tree { " with all below" } else { "" };
    let parts = [
        (!options.pids.is_empty()).then(|| format!("{}{below}", of(&options.pids))),
        (!options.comms.is_empty()).then(|| format!("every process called {}", names(&options.comms))),
        (!options.target_pids.is_empty()).then(|| format!("who reaches into {}", of(&options.target_pids))),
        (!options.target_comms.is_empty())
            .then(|| format!("who reaches into processes called {}", names(&options.target_comms))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn sentence(options: &Options, families: &[FamilyReport]) -> String {
    let who = who(options);
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
    let what = if options.only_prints { "watching" } else { "recording" };
    format!("{what} {who} ({how}); ^C ends")
}

#[cfg(test)]
mod tests {
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
        let named = |patterns: &[&str]| Names::parse(patterns).unwrap();
        let several = Options {
            tree: true,
            comms: named(&["a*", "b"]),
            target_pids: vec![9],
            target_comms: named(&["c"]),
            ..options(&[7], false)
        };
        let who = "pid 7 with all below, every process called a* or b, who reaches into pid 9, who reaches into processes called c";
        assert_eq!(sentence(&several, &[family(Tier::None)]), format!("recording {who} (1 family, not seen); ^C ends"));
        let watch = Options { only_prints: true, ..options(&[7], false) };
        assert_eq!(sentence(&watch, &[family(Tier::None)]), "watching pid 7 (1 family, not seen); ^C ends");
        assert_eq!(
            sentence(&options(&[], true), &[family(Tier::None)]),
            "recording every process (1 family, not seen); ^C ends"
        );
    }
}
