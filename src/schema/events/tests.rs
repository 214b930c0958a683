use super::*;
use crate::schema::columns::column_spec;

#[test]
fn sets_are_names_and_groups() {
    let set = EventSet::parse("@vm, tee").unwrap();
    assert_eq!(set.names(), ["process_vm_readv", "process_vm_writev", "tee"]);
    assert!(set.contains(EventKind::Lost) && !set.contains(EventKind::Splice));
    assert_eq!(EventSet::parse("@all").unwrap(), EventSet::all());
    let merged = set.merge(EventSet::parse("splice").unwrap());
    assert!(merged.contains(EventKind::Splice) && merged.contains(EventKind::Tee));
}

#[test]
fn an_unknown_word_is_named() {
    assert!(EventSet::parse("@vm,vmslice").unwrap_err().starts_with("unknown event \"vmslice\"; known are @vm"));
    assert!(EventSet::parse(" , ").is_err());
    assert!(EventSet::parse("@lost").is_err());
}

#[test]
fn no_syscall_number_is_taken_twice() {
    for table in [|e: &EventSpec| e.x86_64, |e: &EventSpec| e.i386] {
        // The command of an ioctl says which of its events it is.
        let others = EVENTS.iter().filter(|e| e.group != Group::Uffd || e.kind == EventKind::UffdCopy);
        let mut numbers: Vec<u16> = others.flat_map(|e| table(e).iter().copied()).collect();
        let all = numbers.len();
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }
}

#[test]
fn arguments_name_columns_that_exist() {
    for argument in EVENTS.iter().flat_map(|e| e.args) {
        for column in argument.column.split(", ").flat_map(|c| c.split(" or ")) {
            assert!(column_spec(column).is_some(), "{column}");
        }
    }
}
