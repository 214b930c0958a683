//! What comes nearest to an option or a row that no flow fits.

use super::Selected;
use crate::model::flow::Flow;
use crate::schema::Event;
use crate::terminal::escape::Safe;

/// Collects it.
#[derive(Debug)]
pub(super) struct Nearest {
    pub selected: Selected,
    from: Number,
    to: Number,
    pipe: Number,
    seq: Number,
    /// The event of the row that was asked for, and whether it moved bytes.
    row: Option<(String, bool)>,
    any: bool,
}

impl Nearest {
    pub fn new(selected: Selected) -> Self {
        let pid = |pid: Option<i32>| Number::of(pid.and_then(|pid| u64::try_from(pid).ok()));
        Nearest {
            selected,
            from: pid(selected.from),
            to: pid(selected.to),
            pipe: Number::of(selected.pipe),
            seq: Number::of(selected.seq),
            row: None,
            any: false,
        }
    }

    /// Notes a row of the capture.
    pub fn row(&mut self, event: &Event<'_>) {
        if self.selected.seq == Some(event.seq) {
            self.row = Some((Safe(event.event).to_string(), event.bytes.is_some_and(|bytes| bytes > 0)));
        }
    }

    /// Notes a flow, whether it is selected or not.
    pub fn flow(&mut self, flow: &Flow) {
        self.any = true;
        let note = |number: &mut Number, pid: Option<i32>| {
            if let Some(pid) = pid {
                number.note(u64::try_from(pid).ok());
            }
        };
        note(&mut self.from, flow.from_pid());
        note(&mut self.to, flow.to_pid());
        flow.steps.iter().for_each(|step| self.pipe.note(Some(step.pipe)));
        if self.seq.wanted.is_some() {
            flow.calls().for_each(|(call, _)| self.seq.note(Some(call.seq)));
        }
    }

    /// Why there are no flows, a sentence for each option that none fits.
    pub fn sentences(&self) -> Vec<String> {
        if !self.any {
            let row = self.selected.seq.map(|seq| format!("row {seq} is in no flow: ")).unwrap_or_default();
            return vec![format!("{row}no recorded call moved bytes through a pipe, or on from a memory")];
        }
        let of_rows = self.seq.wanted.filter(|_| self.seq.near.is_none_or(|(distance, _)| distance > 0)).map(|seq| {
            let what = match &self.row {
                None => format!("there is no row {seq}"),
                Some((event, false)) => format!("row {seq}, {event}, moved no bytes"),
                Some((event, true)) => format!("row {seq}, {event}, is in no flow"),
            };
            format!("{what}; the nearest that is in one is {}", self.seq.near.map_or(0, |(_, near)| near))
        });
        let from = self.from.sentence(|pid| format!("--from: no bytes came from process {pid}"));
        let to = self.to.sentence(|pid| format!("--to: no bytes went to process {pid}"));
        let pipe = self.pipe.sentence(|pipe| format!("--pipe: no bytes went through pipe {pipe}"));
        let all: Vec<String> = [of_rows, from, to, pipe].into_iter().flatten().collect();
        if all.is_empty() { vec!["no flow has all that was selected".to_string()] } else { all }
    }
}

/// A number, against the one that is wanted.
#[derive(Debug)]
struct Number {
    wanted: Option<u64>,
    /// How far, and the number.
    near: Option<(u64, u64)>,
}

impl Number {
    fn of(wanted: Option<u64>) -> Self {
        Number { wanted, near: None }
    }

    fn note(&mut self, number: Option<u64>) {
        if let Some((wanted, number)) = self.wanted.zip(number) {
            let this = (wanted.abs_diff(number), number);
            self.near = Some(self.near.map_or(this, |near| near.min(this)));
        }
    }

    fn sentence(&self, words: impl Fn(u64) -> String) -> Option<String> {
        let wanted = self.wanted?;
        match self.near {
            Some((0, _)) => None,
            Some((_, near)) => Some(format!("{}; the nearest is {near}", words(wanted))),
            None => Some(format!("{}; there is none that is known", words(wanted))),
        }
    }
}
