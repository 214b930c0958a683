//! MITRE ATT&CK techniques that use a call. They say what such a call can be a part of, not that it was: debuggers make the same
//! calls.

use serde_json::{Value, json};

use crate::export::fields::reaches_another;
use crate::schema::Event;
use crate::schema::events::Group;
use crate::schema::vocabulary::Direction;

/// The version of the matrix.
const VERSION: &str = "17.1";

/// A technique, and the tactic for which it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Technique {
    uid: &'static str,
    name: &'static str,
    sub: Option<(&'static str, &'static str)>,
    tactic: (&'static str, &'static str),
}

const EVASION: (&str, &str) = ("TA0005", "Defense Evasion");
const CREDENTIALS: (&str, &str) = ("TA0006", "Credential Access");
const INJECTION: Technique = Technique { uid: "T1055", name: "Process Injection", sub: None, tactic: EVASION };
const DUMPING: Technique = Technique { uid: "T1003", name: "OS Credential Dumping", sub: None, tactic: CREDENTIALS };

/// The technique of a call on another process, if there is one.
fn technique(event: &Event<'_>) -> Option<Technique> {
    let spec = event.spec().filter(|_| reaches_another(event))?;
    let direction = event.direction.and_then(|direction| Direction::parse(direction).ok());
    match (spec.group, direction) {
        (Group::Vm, Some(Direction::In)) => Some(DUMPING),
        (Group::Vm | Group::Uffd, Some(Direction::Out)) => Some(INJECTION),
        (Group::Mem, Some(Direction::In)) => Some(Technique { sub: Some(("T1003.007", "Proc Filesystem")), ..DUMPING }),
        (Group::Mem, Some(Direction::Out)) => Some(Technique { sub: Some(("T1055.009", "Proc Memory")), ..INJECTION }),
        (Group::Ptrace, Some(Direction::In)) => Some(DUMPING),
        (Group::Ptrace, Some(Direction::Out) | None) => {
            Some(Technique { sub: Some(("T1055.008", "Ptrace System Calls")), ..INJECTION })
        }
        (Group::Vm | Group::Mem | Group::Uffd, None)
        | (Group::Uffd, Some(Direction::In))
        | (Group::Pipe | Group::Pidfd | Group::Madvise | Group::Process | Group::Ledger, _) => None,
    }
}

/// The `attacks` of an event.
pub(super) fn attacks(event: &Event<'_>) -> Value {
    let Some(technique) = technique(event) else { return Value::Null };
    let Technique { uid, name, sub, tactic } = technique;
    let mut attack = json!({
        "technique": {"uid": uid, "name": name},
        "tactic": {"uid": tactic.0, "name": tactic.1},
        "version": VERSION,
    });
    if let (Some((uid, name)), Some(object)) = (sub, attack.as_object_mut()) {
        object.insert("sub_technique".into(), json!({"uid": uid, "name": name}));
    }
    json!([attack])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_on_others_name_their_technique() {
        let read = Event { event: "pread", direction: Some("in"), pid: 1, target_pid: Some(2), ..Event::default() };
        assert_eq!(attacks(&read)[0]["sub_technique"]["uid"], "T1003.007");
        assert_eq!(attacks(&Event { direction: Some("out"), ..read })[0]["sub_technique"]["uid"], "T1055.009");
        let write = Event { event: "process_vm_writev", direction: Some("out"), ..read };
        assert_eq!(attacks(&write)[0]["technique"]["uid"], "T1055");
        assert!(attacks(&write)[0].get("sub_technique").is_none());
        for own in
            [Event { target_pid: Some(1), ..write }, Event { event: "tee", ..read }, Event { direction: None, ..read }]
        {
            assert_eq!(attacks(&own), Value::Null, "{own:?}");
        }
    }
}
