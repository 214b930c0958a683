//! The columns of a capture: one table, from which the row type, the builders and the readers are made.
//!
//! To add a column, add a line here and fill it in `record::decode`; the writer, `replay`, `info` and
//! docs/FORMAT.md follow. Rule of evolution: a column is never renamed, retyped or given another meaning; a
//! new column is optional to a reader of older files (it reads as null, 0 or ""). Anything else raises
//! [`super::SCHEMA_VERSION`].

use std::convert::Infallible;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::cell::Cell;
use super::regions::OptRegions;
use super::types::{
    ColumnType, I32, I64, OptBool, OptBytes, OptI32, OptI64, OptIovecs, OptText, OptU32, OptU64, Text, Timestamp, U32,
    U64,
};

/// Where a value comes from, which is how far it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Kernel memory or registers: the kernel itself holds or used the value.
    Kernel,
    /// Memory of the traced process: its program chose the value and may have changed it meanwhile.
    User,
    /// Worked out by vmtrace from other values, or a fact about the recording.
    Recorder,
}

impl Origin {
    /// The one-letter tag in file metadata: `K`, `U`, or `R`.
    pub fn tag(self) -> &'static str {
        match self {
            Origin::Kernel => "K",
            Origin::User => "U",
            Origin::Recorder => "R",
        }
    }
}

/// How the writer lays a column out (settings in `schema::properties`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Nearly sorted numbers: delta encoded, with statistics, so that time windows prune.
    Clock,
    /// Few distinct values that queries look up: dictionary, statistics and a bloom filter.
    Key,
    /// Few distinct values: dictionary.
    Repeating,
    /// Many distinct values: neither dictionary nor statistics.
    Plain,
    /// Captured bytes: lengths apart, neither dictionary nor statistics.
    Payload,
}

/// One column as the table describes it.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSpec {
    /// Column name in the file.
    pub name: &'static str,
    /// Arrow type.
    pub data_type: fn() -> DataType,
    /// Whether it may be null.
    pub nullable: bool,
    /// Where the value comes from.
    pub origin: Origin,
    /// Whether the traced program could change the value between the kernel's use and our reading.
    pub toctou: bool,
    /// How the writer lays it out.
    pub layout: Layout,
    /// Unit, or `""`.
    pub unit: &'static str,
    /// One line of meaning.
    pub doc: &'static str,
    /// Its value in an event.
    pub cell: for<'a> fn(&Event<'a>) -> Cell<'a>,
}

macro_rules! toctou {
    () => {
        false
    };
    (toctou) => {
        true
    };
}

macro_rules! columns {
    ($($name:ident: $type:ident, $origin:ident $($toctou:ident)?, $layout:ident, $unit:literal, $doc:literal;)+) => {
        /// Every column, in file order.
        pub const COLUMNS: &[ColumnSpec] = &[$(ColumnSpec {
            name: stringify!($name),
            data_type: <$type as ColumnType>::data_type,
            nullable: <$type as ColumnType>::NULLABLE,
            origin: Origin::$origin,
            toctou: toctou!($($toctou)?),
            layout: Layout::$layout,
            unit: $unit,
            doc: $doc,
            cell: |event| Cell::from(event.$name),
        },)+];

        /// One row of a capture, borrowed from whoever holds its text and bytes.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct Event<'a> {
            $(#[doc = $doc] pub $name: <$type as ColumnType>::Value<'a>,)+
        }

        impl<'a> Event<'a> {
            fn visit_cells(&self, mut visit: impl FnMut(&'static str, Cell<'a>)) {
                $(visit(stringify!($name), Cell::from(self.$name));)+
            }
        }

        /// The builders of all columns.
        #[derive(Debug, Default)]
        pub(super) struct Builders {
            $($name: <$type as ColumnType>::Builder,)+
        }

        impl Builders {
            pub(super) fn append(&mut self, event: &Event<'_>) {
                $(<$type as ColumnType>::append(&mut self.$name, event.$name);)+
            }

            pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
                Ok(vec![$(<$type as ColumnType>::finish(&mut self.$name)?,)+])
            }
        }

        /// A record batch seen as events. Columns that the batch lacks read as their default.
        #[derive(Clone, Debug)]
        pub struct EventBatch {
            rows: usize,
            /// Sets the value of one column in an event, for each column that has a value in any row.
            setters: Vec<Setter>,
            $($name: Option<<$type as ColumnType>::Array>,)+
        }

        impl EventBatch {
            /// Takes the columns of `batch` by name.
            ///
            /// # Errors
            /// Names the column whose type is not the documented one.
            pub fn new(batch: &RecordBatch) -> Result<Self, String> {
                let mut setters: Vec<Setter> = Vec::new();
                $(
                    let $name = column::<$type>(batch, stringify!($name))?;
                    if $name.is_some() {
                        setters.push(|batch, row, event| {
                            if let Some(array) = &batch.$name {
                                event.$name = <$type as ColumnType>::value(array, row);
                            }
                        });
                    }
                )+
                Ok(EventBatch { rows: batch.num_rows(), setters, $($name,)+ })
            }
        }
    };
}

/// Sets one column's value in an event to that of a row, which the batch must have.
type Setter = for<'a> fn(&'a EventBatch, usize, &mut Event<'a>);

/// A column of the batch; `None` where it is absent, or null in all rows, which reads the same.
fn column<T: ColumnType>(batch: &RecordBatch, name: &str) -> Result<Option<T::Array>, String> {
    let Some(array) = batch.column_by_name(name) else { return Ok(None) };
    if !T::accepts(array.data_type()) {
        return Err(format!("column {name} is {}, not {}", array.data_type(), T::data_type()));
    }
    match T::typed(array) {
        Some(_) if array.null_count() == array.len() => Ok(None),
        Some(typed) => Ok(Some(typed)),
        None => Err(format!("column {name} does not hold {}", T::data_type())),
    }
}

impl EventBatch {
    /// Number of events.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The event at `row`, or `None` past the end.
    pub fn get(&self, row: usize) -> Option<Event<'_>> {
        (row < self.rows).then(|| {
            let mut event = Event::default();
            self.set(row, &mut event);
            event
        })
    }

    /// All events, in order. An event is large: [`EventBatch::each`] does not copy it.
    pub fn iter(&self) -> impl Iterator<Item = Event<'_>> {
        (0..self.rows).map_while(|row| self.get(row))
    }

    /// Gives `visit` all events, in order.
    pub fn each<'a>(&'a self, mut visit: impl FnMut(&Event<'a>)) {
        let Ok(()) = self.try_each(|event| {
            visit(event);
            Ok::<_, Infallible>(())
        });
    }

    /// Gives `visit` one event after another, in order, until it fails.
    ///
    /// # Errors
    /// Those of `visit`.
    pub fn try_each<'a, E>(&'a self, mut visit: impl FnMut(&Event<'a>) -> Result<(), E>) -> Result<(), E> {
        let mut event = Event::default();
        (0..self.rows).try_for_each(|row| {
            self.set(row, &mut event);
            visit(&event)
        })
    }

    /// Sets the values of all columns in `event`, which is a default one or another one of this batch.
    fn set<'a>(&'a self, row: usize, event: &mut Event<'a>) {
        self.setters.iter().for_each(|set| set(self, row, event));
    }
}

columns! {
    seq: U64, Recorder, Clock, "", "Number of the row in the recording, from 0 without gaps; in several files it continues from file to file.";
    ts: Timestamp, Kernel, Clock, "µs since 1970, UTC", "When the syscall returned (or the process event happened): mono_ns converted with the wall clock at the recording's start.";
    ts_ns: I64, Kernel, Clock, "ns since 1970, UTC", "The same instant to the nanosecond.";
    mono_ns: I64, Kernel, Clock, "ns of CLOCK_MONOTONIC", "The same instant on the clock that never steps: use it for order and differences.";
    dur_ns: OptI64, Kernel, Plain, "ns", "From entry to exit; null where only the exit is seen (tracepoint tier). Of a `lost` row: the span before mono_ns in which events were lost.";
    cpu: U32, Kernel, Repeating, "", "CPU on which the event was seen; 0 for `lost` rows of all CPUs together (every cause but ring_full).";
    event: Text, Kernel, Key, "", "What happened: a syscall by its man-page name, process_exec, process_fork, process_exit, process_snapshot, or lost.";
    abi: OptText, Kernel, Repeating, "", "How the call entered the kernel: native, compat32 (32-bit program or int 0x80) or io_uring; null for process events.";
    pid: I32, Kernel, Key, "", "Caller's process id (thread group), in the initial pid namespace; 0 in a `lost` row.";
    tid: I32, Kernel, Key, "", "Caller's thread id, in the initial pid namespace; 0 in a `lost` row.";
    uid: U32, Kernel, Repeating, "", "Caller's effective user id, in the initial user namespace; 4294967295 in a `lost` row.";
    comm: Text, Kernel, Repeating, "", "Caller's thread name at that moment (chosen by the program).";
    exe: OptText, Kernel, Repeating, "", "Caller's executable; null if it is not known.";
    start_ns: I64, Kernel, Repeating, "ns of CLOCK_BOOTTIME", "When the caller's process started; 0 in a `lost` row. In process_snapshot rows it is exact to 10 ms.";
    process_key: OptText, Recorder, Repeating, "", "Identity of the caller's process that survives pid reuse: hash of boot id, pid and start time (docs/FORMAT.md).";
    cgroup: OptText, Kernel, Repeating, "", "Caller's cgroup v2 path, or `id:N` where the id could not be resolved.";
    container: OptText, Recorder, Repeating, "", "Id or name of the caller's container, if its cgroup path identifies one (Docker, Podman, containerd, CRI-O, LXC, systemd-nspawn).";
    target_pid: OptI32, Kernel toctou, Key, "", "Target process, in the initial pid namespace; null if there is none. For transfers out of a pipe (pipe_read, vmsplice, splice, tee, sendfile): the process whose recorded call fed that pipe last.";
    target_pid_arg: OptI32, Kernel, Plain, "", "The pid or tid as the caller passed it, in the caller's own pid namespace.";
    pidfd: OptI32, Kernel, Plain, "", "The PID file descriptor by which the caller named the target (pidfd_open(2)); the process behind it is looked up when the call returns.";
    target_comm: OptText, Kernel toctou, Repeating, "", "Name of the target process (chosen by the program).";
    target_exe: OptText, Kernel toctou, Repeating, "", "Executable of the target; null if it is not known.";
    target_uid: OptU32, Kernel toctou, Repeating, "", "Effective user id of the target, in the initial user namespace.";
    target_start_ns: OptI64, Kernel toctou, Repeating, "ns of CLOCK_BOOTTIME", "When the target process started.";
    target_key: OptText, Recorder toctou, Repeating, "", "process_key of the target.";
    target_cgroup: OptText, Kernel toctou, Repeating, "", "cgroup v2 path of the target, or `id:N` where the id could not be resolved.";
    target_container: OptText, Recorder toctou, Repeating, "", "Id or name of the target's container, if target_cgroup identifies one.";
    target_ended: OptBool, Recorder, Plain, "", "true: the target had ended by the time the call returned, and its identity was noted at its end; else null.";
    direction: OptText, Recorder, Repeating, "", "Direction of the data as seen by the caller: in (the caller received) or out; null if no data moves or it is not known.";
    ret: OptI64, Kernel, Plain, "", "Return value of the syscall, -errno on failure; null if it was not seen.";
    errno: OptText, Kernel, Repeating, "", "Symbolic name of the error (errno(3)); null on success.";
    bytes: OptI64, Kernel, Plain, "bytes", "Bytes moved; for process_madvise bytes advised on, for uffd_poison bytes poisoned. 0 for a failed call, but what was done for one on a userfaultfd that stopped halfway (EAGAIN); null for process events and calls that never move bytes.";
    bytes_requested: OptI64, User toctou, Plain, "bytes", "Bytes requested: for process_vm_* the smaller total of both sides; null if an iovec array could not be read completely.";
    local_iov: OptIovecs, User toctou, Plain, "", "Ranges in the caller's memory, in transfer order, at most 1,024 (UIO_MAXIOV); for ptrace the source or destination of the data. Null if there are none or they were unreadable.";
    liovcnt: OptU64, Kernel, Plain, "", "Number of local ranges as passed (nr_segs, iovcnt); may exceed the length of local_iov.";
    remote_iov: OptIovecs, User toctou, Plain, "", "Ranges in the target's memory; for ptrace addr (len 0 if addr is no address), for /proc/PID/mem the offset.";
    riovcnt: OptU64, Kernel, Plain, "", "Number of remote ranges as passed.";
    flags: OptU64, Kernel, Repeating, "", "The call's flags argument; of openat2 the flags in its struct open_how, and of a call on a userfaultfd the mode in its struct, which are in user memory.";
    iov_source: OptText, Recorder, Repeating, "", "Whose copy of the iovec arrays, or of the struct of a call on a userfaultfd, was read: user (the caller's memory) or kernel (what the kernel used). For calls without an array in memory: user if a value of the row was looked up when the call returned, in the caller's memory or descriptor table; kernel if all came from registers or from what the kernel used.";
    iov_verdict: OptText, Recorder, Repeating, "", "kernel (what the kernel used), unverified (read once from user memory, or looked up when the call returned: see iov_source), conflict (contradicts what the kernel did, or the call has overwritten it), unreadable. For a vectored read or write of /proc/PID/mem that ended early, kernel applies to the segments that it reached.";
    toctou: OptBool, Recorder, Repeating, "", "true: the arguments in user memory changed during the call, as a contradiction proves; false: compared and found equal, or none of them was in memory; null: not compared.";
    fd_in: OptI32, Kernel, Plain, "", "File descriptor the data came from; of pidfd_getfd the number in the target.";
    fd_out: OptI32, Kernel, Plain, "", "File descriptor the data went to; of pidfd_getfd and mem_open the new one in the caller.";
    off_in: OptI64, User toctou, Plain, "bytes", "Offset in the input file before the call, if the caller passed one.";
    off_out: OptI64, User toctou, Plain, "bytes", "Offset in the output file before the call, if the caller passed one.";
    fd_in_kind: OptText, Kernel toctou, Repeating, "", "What fd_in was at exit (of pidfd_getfd: the file that was obtained): file, dir, pipe, fifo, socket, chardev, blockdev, anon_inode, proc_mem, registered (io_uring index), closed or other.";
    fd_out_kind: OptText, Kernel toctou, Repeating, "", "What fd_out was at exit.";
    fd_in_mode: OptText, Kernel toctou, Repeating, "", "How fd_in was open: r, w or rw.";
    fd_out_mode: OptText, Kernel toctou, Repeating, "", "How fd_out was open: r, w or rw.";
    fd_in_path: OptText, Kernel toctou, Repeating, "", "Path of fd_in if it has one, within its mount namespace; it begins with `...` if it was too long.";
    fd_out_path: OptText, Kernel toctou, Repeating, "", "Path of fd_out if it has one.";
    fd_in_family: OptText, Kernel toctou, Repeating, "", "Address family of fd_in if it is a socket (AF_UNIX, AF_INET, ...).";
    fd_out_family: OptText, Kernel toctou, Repeating, "", "Address family of fd_out if it is a socket.";
    fd_in_local_addr: OptText, Kernel toctou, Repeating, "", "Where fd_in is bound, if it is a socket: an IP address, in the socket's network namespace; of a unix socket its name as bind(2) got it, with @ for each NUL byte of an abstract one, as in /proc/net/unix, and ./ before a path that begins with @. null where it is bound to nothing, and for other families.";
    fd_in_local_port: OptU32, Kernel toctou, Repeating, "", "Port of fd_in_local_addr, where the protocol has ports.";
    fd_in_peer_addr: OptText, Kernel toctou, Repeating, "", "Where the peer of fd_in is bound, in the same way; null where fd_in is not connected, or its peer is a unix socket without a name.";
    fd_in_peer_port: OptU32, Kernel toctou, Repeating, "", "Port of fd_in_peer_addr.";
    fd_out_local_addr: OptText, Kernel toctou, Repeating, "", "Where fd_out is bound, if it is a socket.";
    fd_out_local_port: OptU32, Kernel toctou, Repeating, "", "Port of fd_out_local_addr.";
    fd_out_peer_addr: OptText, Kernel toctou, Repeating, "", "Where the peer of fd_out is bound.";
    fd_out_peer_port: OptU32, Kernel toctou, Repeating, "", "Port of fd_out_peer_addr.";
    pipe_in: OptU64, Kernel toctou, Plain, "", "Inode of the pipe or FIFO the data came from; the same number in every process that has the pipe open.";
    pipe_out: OptU64, Kernel toctou, Plain, "", "Inode of the pipe or FIFO the data went to.";
    ptrace_request: OptText, Kernel, Repeating, "", "ptrace request by name; its number if vmtrace has no name for it.";
    data: U64, Kernel, Plain, "", "ptrace's data argument; 0 if ptrace_request is null.";
    advice: OptText, Kernel, Repeating, "", "process_madvise's advice by name (madvise(2)); its number if vmtrace has no name for it.";
    payload: OptBytes, User toctou, Payload, "", "The first bytes that moved, gathered over all segments in transfer order, up to the snap length.";
    payload_len: U32, Recorder, Plain, "bytes", "Bytes captured in payload.";
    payload_total: I64, Recorder, Plain, "bytes", "Bytes that moved and could have been captured; 0 if none.";
    payload_status: OptText, Recorder, Repeating, "", "ok (all of it), truncated (by the snap length), fault (a segment could not be read), off (not requested), dropped (--on-full drop-payload: the disk was nearly full), redacted (removed by `vmtrace redact`), none (nothing to capture, or not available).";
    payload_side: OptText, Recorder, Repeating, "", "Where payload was read: caller (its memory), kernel (the kernel's own buffer: /proc/PID/mem and words that ptrace read, function tier) or register (a word that ptrace wrote); null without payload.";
    payload_at: OptText, Recorder, Repeating, "", "When payload was read: exit (when the call returned) or transfer (when the kernel copied it); null without payload.";
    payload_by_ref: OptBool, Recorder, Repeating, "", "true if the kernel moved pages, not bytes (vmsplice): the sender can still change what the reader gets.";
    parent_pid: OptI32, Kernel, Plain, "", "Parent process, for process events.";
    parent_key: OptText, Recorder, Repeating, "", "process_key of the parent if it is known, for process events.";
    argv: OptText, User toctou, Repeating, "", "Command line of a process_exec or process_snapshot, words joined by spaces, as read from its memory.";
    exit_code: OptI32, Kernel, Plain, "", "Wait status of a process_exit: exit code × 256, or the signal (wait(2)).";
    lost_count: OptU64, Kernel, Plain, "events", "Events lost, for `lost` rows.";
    lost_event: OptText, Kernel, Repeating, "", "Which event was lost, for `lost` rows.";
    lost_cause: OptText, Kernel, Repeating, "", "Why, for `lost` rows: ring_full, scratch_full (no space to build the record), hook_skipped (the kernel did not run the hook), left_in_ring (a second ^C ended the recording at once), or recorder_killed (determined by `vmtrace recover`).";
    path: OptText, User toctou, Repeating, "", "Path of the file that mem_open was to open, as the caller passed it; null if it could not be read.";
    dirfd: OptI32, Kernel, Repeating, "", "Directory from which a relative path of mem_open leads: a descriptor, or AT_FDCWD (-100), the working directory; null for open and creat, which take none.";
    open_mode: OptU64, Kernel, Repeating, "", "mode argument of mem_open, without meaning unless a file is created; of openat2 the mode in its struct open_how, which is in user memory.";
    open_resolve: OptU64, User toctou, Repeating, "", "resolve in the struct open_how of openat2(2); null for the other calls of mem_open.";
    payload_entropy: OptText, Recorder, Repeating, "", "Where `vmtrace redact` removed a payload, what kind of bytes it had: constant, text, low, mixed or high. Null in what a recorder wrote.";
    payload_digest: OptText, Recorder, Repeating, "", "Where `vmtrace redact` removed a payload, the first 128 bits, in hexadecimal, of BLAKE3 over its captured bytes, keyed with the sender's secret: equal bytes have equal digests. Null in what a recorder wrote.";
    host: OptText, Recorder, Repeating, "", "Where `vmtrace merge` put recordings together that are not one: the host that the row is of, as the manifest's `hosts` name it. Numbers and addresses of two hosts have nothing in common. Null in what a recorder wrote.";
    host_seq: OptU64, Recorder, Plain, "", "Where `host` is not null: `seq` of the row in its recording.";
    region_source: OptText, Recorder, Repeating, "", "Where remote_regions come from: maps (/proc/PID/maps, read when nothing had been mapped or unmapped since before the call copied its first byte), none (not known: that could not be shown). Null where there are no remote ranges, with --no-regions, and in captures of earlier versions.";
    remote_regions: OptRegions, Kernel, Repeating, "", "Of each range in remote_iov the mapping in which it begins; all 0 and empty where none was there. Names are as the kernel gives them, so a deleted file ends with ` (deleted)`. Null where region_source is not maps.";
}

impl<'a> Event<'a> {
    /// Every column's name and value, in file order.
    pub fn cells(&self, mut visit: impl FnMut(&'static str, Cell<'a>)) {
        self.visit_cells(|name, cell| match (name, cell) {
            // The one instant among the numbers: `ts` shares its Rust type with them.
            ("ts", Cell::Int(micros)) => visit(name, Cell::Micros(micros)),
            _ => visit(name, cell),
        });
    }
}

/// The column named `name`.
pub fn column_spec(name: &str) -> Option<&'static ColumnSpec> {
    COLUMNS.iter().find(|c| c.name == name)
}

/// The Arrow schema of a capture. Each field's metadata has `vmtrace.origin` and `vmtrace.doc`, `vmtrace.unit` where
/// it has one, and `vmtrace.toctou` and `vmtrace.optional`, `true`, where they hold: a footer carries all of it.
pub fn arrow_schema() -> SchemaRef {
    let fields: Vec<Field> = COLUMNS
        .iter()
        .map(|c| {
            let metadata = [
                ("vmtrace.origin", Some(c.origin.tag())),
                ("vmtrace.toctou", c.toctou.then_some("true")),
                ("vmtrace.optional", c.nullable.then_some("true")),
                ("vmtrace.unit", Some(c.unit).filter(|unit| !unit.is_empty())),
                ("vmtrace.doc", Some(c.doc)),
            ];
            let metadata = metadata.into_iter().filter_map(|(k, v)| Some((k.to_string(), v?.to_string())));
            Field::new(c.name, (c.data_type)(), c.nullable).with_metadata(metadata.collect())
        })
        .collect();
    Arc::new(Schema::new(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_comes_once_in_file_order() {
        let mut names = Vec::new();
        let event = Event { ts: 5, pid: -1, liovcnt: Some(u64::MAX), ..Event::default() };
        event.cells(|name, cell| {
            match name {
                "ts" => assert_eq!(cell, Cell::Micros(5)),
                "pid" => assert_eq!(cell, Cell::Int(-1)),
                "liovcnt" => assert_eq!(cell, Cell::Uint(u64::MAX)),
                "errno" => assert_eq!(cell, Cell::Null),
                _ => {}
            }
            names.push(name);
        });
        assert_eq!(names, COLUMNS.iter().map(|c| c.name).collect::<Vec<_>>());
    }
}
