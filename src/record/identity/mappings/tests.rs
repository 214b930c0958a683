use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::*;

/// Answers, in their order; the last one stays. The mappings themselves are this process's own.
#[derive(Debug, Clone)]
struct Answers(Arc<Mutex<(VecDeque<Option<MappingState>>, u64)>>);

impl AskKernel for Answers {
    fn state(&self, _pid: i32) -> Option<MappingState> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.0.len() > 1 { answers.0.pop_front().unwrap() } else { answers.0[0] }
    }

    fn skipped(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

fn state(space: u32, changes: u32) -> MappingState {
    MappingState { space, changes }
}

fn readings(answers: &[MappingState]) -> (Readings, Answers) {
    let answers = Answers(Arc::new(Mutex::new((answers.iter().copied().map(Some).collect(), 0))));
    (Readings::new(Box::new(answers.clone())), answers)
}

fn own() -> i32 {
    std::process::id() as i32
}

/// A call that has just ended.
fn call(state: MappingState) -> Reached {
    let now = monotonic_ns();
    Reached { pid: own(), state, during_ns: (now, now) }
}

/// The mapping that holds an address.
fn holding(mappings: &[Arc<Mapping>], address: u64) -> Option<&Arc<Mapping>> {
    place(mappings, address).ok()
}

#[test]
fn a_reading_serves_all_events_of_its_state() {
    let (mut readings, answers) = readings(&[state(1, 4)]);
    let local = 7;
    let at = std::ptr::from_ref(&local).addr() as u64;
    let early = call(state(1, 4));
    for _ in 0..20 {
        let mappings = readings.of(call(state(1, 4))).unwrap();
        let stack = holding(&mappings, at).unwrap();
        assert!(stack.perms.starts_with("rw") && (stack.start..stack.end).contains(&at), "{stack:?}");
        assert_eq!(holding(&mappings, 0x1000), None);
        assert_eq!(holding(&mappings, u64::MAX), None);
    }
    answers.0.lock().unwrap().0 = [Some(state(1, 5))].into();
    assert!(readings.of(early).is_some(), "what was true stays so");
    let late = Reached { state: state(1, 4), ..call(state(1, 4)) };
    assert!(readings.of(late).is_none(), "a later call has an old note");
    assert!(readings.of(call(state(1, 5))).is_some());
    assert!(readings.of(call(state(1, 4))).is_none(), "it is read no more");
    let RegionReadings { named, changed, readings, .. } = readings.counts;
    assert_eq!((named, changed, readings), (22, 2, 2));
}

#[test]
fn what_has_changed_is_not_named() {
    let (mut changed, _) = readings(&[state(1, 5)]);
    assert!(changed.of(call(state(1, 4))).is_none(), "before the reading");
    assert!(changed.of(call(state(1, 4))).is_none(), "without another question");
    assert_eq!((changed.counts.changed, changed.counts.readings), (2, 0));
    let (mut raced, _) = readings(&[state(1, 4), state(1, 5)]);
    assert!(raced.of(call(state(1, 4))).is_none(), "during the reading");
    assert_eq!((raced.counts.raced, raced.counts.readings), (1, 1));
    let (mut other, _) = readings(&[state(2, 4)]);
    assert!(other.of(call(state(1, 4))).is_none(), "another program by now");
    assert!(other.of(call(MappingState::default())).is_none(), "not noted");
    assert_eq!((other.counts.gone, other.counts.not_noted), (1, 1));
}

/// A note that an earlier call has left, on another target or in another state of it.
#[test]
fn a_note_of_another_call_names_nothing_wrongly() {
    let (mut readings, answers) = readings(&[state(1, 4)]);
    assert!(readings.of(call(state(1, 4))).is_some());
    answers.0.lock().unwrap().0 = [Some(state(2, 4))].into();
    let other = Reached { pid: std::os::unix::process::parent_id() as i32, ..call(state(1, 4)) };
    assert!(readings.of(other).is_none(), "another target");
    answers.0.lock().unwrap().0 = [Some(state(1, 6))].into();
    assert!(readings.of(call(state(1, 4))).is_none(), "the target has mapped since");
    assert_eq!((readings.counts.gone, readings.counts.changed, readings.counts.readings), (1, 1, 1));
}

#[test]
fn calls_whose_first_note_may_be_missing_are_not_named() {
    let (mut readings, answers) = readings(&[state(1, 4)]);
    let (before, early) = (call(state(1, 4)), call(state(1, 4)));
    assert!(readings.of(before).is_some());
    answers.0.lock().unwrap().1 = 1;
    assert!(readings.of(call(state(1, 4))).is_none(), "the kernel has not noted what some call reached");
    assert!(readings.of(early).is_none(), "nor is it known which");
    assert!(readings.of(call(state(1, 4))).is_some());
    assert_eq!(readings.counts.raced, 2);
}

#[test]
fn a_reading_is_not_used_for_ever() {
    let (mut readings, _) = readings(&[state(1, 4)]);
    assert!(readings.of(call(state(1, 4))).is_some());
    let later = monotonic_ns() + MOST_AGE_NS;
    assert!(readings.of(Reached { during_ns: (later, later), ..call(state(1, 4)) }).is_some());
    assert_eq!(readings.counts.readings, 2);
}

#[test]
fn who_is_gone_has_no_mappings() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let (mut readings, _) = readings(&[state(1, 4)]);
    let pid = child.id() as i32;
    child.wait().unwrap();
    assert!(readings.of(Reached { pid, ..call(state(1, 4)) }).is_none());
    assert_eq!(readings.counts.gone, 1);
}

#[test]
fn a_process_that_maps_all_the_time_is_read_ten_times_a_second() {
    let states: Vec<MappingState> = (1..=100).flat_map(|changes| [state(1, changes), state(1, changes)]).collect();
    let (mut readings, _) = readings(&states);
    let began = Instant::now();
    let named = (1..=100).filter(|changes| readings.of(call(state(1, *changes))).is_some()).count();
    let most = 11 + (began.elapsed().as_secs_f64() * 10.0) as usize;
    assert!((10..=most).contains(&named), "{named} of at most {most}");
    assert_eq!(readings.counts.named, named as u64);
    assert!(readings.counts.too_often > 0);
}

#[test]
fn counts_go_round() {
    assert!(is_later(5, 4) && is_later(0, u32::MAX) && !is_later(4, 4) && !is_later(4, 5));
}

#[test]
fn a_budget_grows_again_up_to_its_limit() {
    let now = Instant::now();
    let mut budget = Budget::new((10.0, 20.0), now);
    budget.spend(20.0);
    assert!(!budget.allows(now));
    budget.spend(5.0);
    let later = |ms| now + std::time::Duration::from_millis(ms);
    assert!(!budget.allows(later(500)), "debts are paid first");
    assert!(budget.allows(later(700)));
    assert!(budget.allows(later(60_000)) && budget.left <= 20.0);
}

#[test]
fn what_is_remembered_is_bounded() {
    let (mut readings, answers) = readings(&[state(1, 1)]);
    // As many readings as it takes.
    let much = (1e12, 1e12);
    (readings.readings, readings.bytes) = (Budget::new(much, Instant::now()), Budget::new(much, Instant::now()));
    for space in 1..600 {
        answers.0.lock().unwrap().0 = [Some(state(space, 1))].into();
        let _ = readings.of(call(state(space, 1)));
    }
    assert!(readings.spaces.len() <= MOST_SPACES);
    let known: usize = readings.spaces.values().filter_map(|space| Some(space.read.as_ref()?.bytes)).sum();
    assert!(known > 0 && readings.remembered == known);
    readings.remembered += MOST_REMEMBERED;
    readings.remember(state(5000, 1), Instant::now());
    assert!(readings.spaces.values().all(|space| space.read.is_none()), "room is made by forgetting others");
}
