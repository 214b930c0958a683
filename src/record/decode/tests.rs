use super::*;
use crate::record::identity::lookup::Recorded;
use crate::schema::columns::EventBatch;
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::{BatchBuilder, key::process_key};

/// Keeps rows as they would come back from a file.
#[derive(Default)]
struct Rows {
    builder: BatchBuilder,
    kinds: Vec<(EventKind, bool)>,
}

impl Sink for Rows {
    fn row(&mut self, kind: EventKind, event: &mut Event<'_>, faulted: bool) {
        self.builder.push(event);
        self.kinds.push((kind, faulted));
    }
}

impl Rows {
    fn batch(mut self) -> EventBatch {
        EventBatch::new(&self.builder.take().unwrap()).unwrap()
    }
}

fn decoder() -> Decoder {
    let mut processes = Processes::new("boot");
    processes.insert(CALLER.0, CALLER.1, Some("/usr/bin/caller".into()));
    processes.insert(TARGET.0, TARGET.1, Some("/usr/bin/target".into()));
    Decoder::new(WallClock { offset_ns: 1_000 }, processes, Box::new(Recorded::default()))
}

const CALLER: (i32, u64) = (2_000_000_001, 50_000_000_000);
pub(super) const TARGET: (i32, u64) = (2_000_000_002, 60_000_000_000);

fn comm(name: &str) -> [std::os::raw::c_char; 16] {
    let mut out = [0; 16];
    out.iter_mut().zip(name.bytes()).for_each(|(o, b)| *o = b as std::os::raw::c_char);
    out
}

pub(super) fn process((pid, start_boottime): (i32, u64), name: &str) -> vmt_process {
    vmt_process { start_boottime, cgroup_id: 0, pid, uid: 1000, comm: comm(name), ended: 0 }
}

pub(super) fn header(kind: u32, abi: u32) -> vmt_hdr {
    vmt_hdr {
        kind: kind as u16,
        abi: abi as u8,
        mono_ns: 5_000_000,
        cpu: 3,
        tid: CALLER.0 + 7,
        self_: process(CALLER, "caller"),
        ..Default::default()
    }
}

/// A record's bytes: the struct, then its tail.
pub(super) fn bytes<T: Copy>(fixed: &T, tail: &[&[u8]]) -> Vec<u8> {
    // SAFETY: T is a plain C struct of the wire without padding that matters; any byte may be read.
    let fixed = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(fixed).cast::<u8>(), size_of::<T>()) };
    let mut out = fixed.to_vec();
    tail.iter().for_each(|part| out.extend_from_slice(part));
    let size = out.len() as u32;
    out[..4].copy_from_slice(&size.to_ne_bytes());
    out
}

fn iovs(count: u64, kept: u16, entry: u8, status: u32) -> vmt_iovs {
    vmt_iovs { count, kept, entry, status: status as u8, ..Default::default() }
}

fn readv(ret: i64, payload: &[u8]) -> Vec<u8> {
    let ev = vmt_vm {
        hdr: header(VMT_PROCESS_VM_READV, VMT_ABI_NATIVE),
        ret,
        pid_arg: 42,
        target: process(TARGET, "target"),
        local: iovs(1, 1, 16, VMT_READ_OK),
        remote: iovs(1, 1, 16, VMT_READ_OK),
        payload: vmt_payload {
            total: ret.max(0) as u64,
            kept: payload.len() as u32,
            status: VMT_PAYLOAD_OK as u8,
            ..Default::default()
        },
        ..Default::default()
    };
    bytes(&ev, &[&pair(0x7fff_0000, 64), &pair(0xffff_8000_0000_0001, 32), payload])
}

fn pair(base: u64, len: u64) -> Vec<u8> {
    [base.to_ne_bytes(), len.to_ne_bytes()].concat()
}

pub(super) fn one(record: &[u8]) -> EventBatch {
    let mut rows = Rows::default();
    decoder().record(record, &mut rows).unwrap();
    let batch = rows.batch();
    assert_eq!(batch.len(), 1);
    batch
}

#[test]
fn a_readv_becomes_a_row() {
    let batch = one(&readv(5, b"he\0lo"));
    let row = batch.get(0).unwrap();
    assert_eq!((row.event, row.abi, row.direction), ("process_vm_readv", Some("native"), Some("in")));
    assert_eq!((row.mono_ns, row.ts_ns, row.ts, row.cpu), (5_000_000, 5_001_000, 5_001, 3));
    assert_eq!((row.pid, row.tid, row.uid, row.comm), (CALLER.0, CALLER.0 + 7, 1000, "caller"));
    assert_eq!((row.exe, row.target_exe), (Some("/usr/bin/caller"), Some("/usr/bin/target")));
    assert_eq!((row.target_pid, row.target_pid_arg), (Some(TARGET.0), Some(42)));
    assert_eq!(row.target_key, Some(process_key("boot", TARGET.0, TARGET.1).as_str()));
    assert_eq!((row.ret, row.errno, row.bytes, row.bytes_requested), (Some(5), None, Some(5), Some(32)));
    assert_eq!(row.remote_iov, Some(Iovecs::Pairs(&[Iovec { base: 0xffff_8000_0000_0001, len: 32 }])));
    assert_eq!((row.iov_source, row.iov_verdict, row.toctou), (Some("user"), Some("unverified"), None));
    assert_eq!((row.payload, row.payload_len, row.payload_total), (Some(&b"he\0lo"[..]), 5, 5));
    assert_eq!((row.payload_status, row.payload_side, row.payload_at), (Some("ok"), Some("caller"), Some("exit")));
}

#[test]
fn more_moved_than_asked_for_is_a_conflict() {
    let batch = one(&readv(33, b""));
    let row = batch.get(0).unwrap();
    assert_eq!((row.iov_verdict, row.toctou), (Some("conflict"), Some(true)));
}

#[test]
fn entries_of_32_bit_callers_are_widened() {
    let ev = vmt_vmsplice {
        hdr: header(VMT_VMSPLICE, VMT_ABI_COMPAT32),
        ret: 6,
        fd: vmt_fd { fd: 4, ino: 77, kind: VMT_FD_PIPE as u8, flags: VMT_MODE_WRITE as u8, ..Default::default() },
        local: iovs(2, 2, 8, VMT_READ_OK),
        ..Default::default()
    };
    let words: Vec<u8> = [0xffff_f000u32, 4, 0x1000, 2].iter().flat_map(|w| w.to_ne_bytes()).collect();
    let batch = one(&bytes(&ev, &[&words]));
    let row = batch.get(0).unwrap();
    let expected = [Iovec { base: 0xffff_f000, len: 4 }, Iovec { base: 0x1000, len: 2 }];
    assert_eq!(row.local_iov, Some(Iovecs::Pairs(&expected)));
    assert_eq!((row.abi, row.direction, row.fd_out, row.pipe_out), (Some("compat32"), Some("out"), Some(4), Some(77)));
    assert_eq!((row.fd_in, row.pipe_in), (None, None));
}

#[test]
fn unread_arrays_are_null_and_say_why() {
    let mut ev = vmt_vm { hdr: header(VMT_PROCESS_VM_WRITEV, VMT_ABI_NATIVE), ret: -14, ..Default::default() };
    ev.local = iovs(1, 0, 16, VMT_READ_FAULT);
    ev.remote = iovs(2000, 0, 16, VMT_READ_REFUSED);
    let mut rows = Rows::default();
    decoder().record(&bytes(&ev, &[]), &mut rows).unwrap();
    assert_eq!(rows.kinds, [(EventKind::ProcessVmWritev, true)]);
    let batch = rows.batch();
    let row = batch.get(0).unwrap();
    assert_eq!((row.local_iov, row.remote_iov, row.bytes_requested), (None, None, None));
    assert_eq!((row.liovcnt, row.riovcnt), (Some(1), Some(2000)));
    assert_eq!((row.iov_verdict, row.errno, row.bytes), (Some("unreadable"), Some("EFAULT"), Some(0)));
    assert_eq!((row.target_pid, row.target_comm, row.target_key), (None, None, None), "an unresolved target is null");
}

#[test]
fn a_splice_offset_is_what_it_was_before() {
    let mut ev = vmt_splice { hdr: header(VMT_SPLICE, VMT_ABI_NATIVE), ret: 100, finished: 1, ..Default::default() };
    (ev.off_in, ev.off_in_status) = (4196, VMT_READ_OK as u8);
    ev.in_ = vmt_fd { fd: 3, kind: VMT_FD_FILE as u8, path_len: 9, ..Default::default() };
    let batch = one(&bytes(&ev, &[b"x\0tmp\0\0\0\0"]));
    let row = batch.get(0).unwrap();
    assert_eq!((row.off_in, row.off_out, row.fd_in_path), (Some(4096), None, Some("/tmp/x")));
    let mut ev = vmt_splice { hdr: header(VMT_TEE, VMT_ABI_IO_URING), ..Default::default() };
    ev.finished = 0;
    let batch = one(&bytes(&ev, &[]));
    assert_eq!((batch.get(0).unwrap().ret, batch.get(0).unwrap().bytes), (None, None), "no result yet");
}

#[test]
fn ptrace_words_have_a_side_and_a_width() {
    let mut ev = vmt_ptrace { hdr: header(VMT_PTRACE, VMT_ABI_COMPAT32), request: 4, ..Default::default() };
    (ev.addr, ev.data) = (0x1000, 0x9090);
    let side = VMT_SIDE_REGISTER as u8;
    ev.payload = vmt_payload { total: 4, kept: 4, status: VMT_PAYLOAD_OK as u8, side, ..Default::default() };
    let batch = one(&bytes(&ev, &[&[0x90, 0x90, 0, 0]]));
    let row = batch.get(0).unwrap();
    assert_eq!((row.ptrace_request, row.direction, row.data), (Some("PTRACE_POKETEXT"), Some("out"), 0x9090));
    assert_eq!(row.remote_iov, Some(Iovecs::Pairs(&[Iovec { base: 0x1000, len: 4 }])));
    assert_eq!((row.payload, row.payload_side), (Some(&[0x90, 0x90, 0, 0][..]), Some("register")));
    assert_eq!((row.bytes, row.iov_verdict, row.toctou), (Some(4), Some("kernel"), Some(false)));
    (ev.request, ev.payload) = (7, vmt_payload::default());
    let batch = one(&bytes(&ev, &[]));
    let row = batch.get(0).unwrap();
    assert_eq!((row.bytes, row.direction, row.payload_status), (None, None, Some("none")));
}

#[test]
fn registers_that_ptrace_moved_are_as_good_as_where_they_were_read() {
    let mut ev = vmt_ptrace { hdr: header(VMT_PTRACE, VMT_ABI_NATIVE), request: 0x4204, ..Default::default() };
    ev.local = iovs(1, 1, 16, VMT_READ_OK);
    ev.payload = vmt_payload { total: 3, kept: 3, status: VMT_PAYLOAD_OK as u8, ..Default::default() };
    let batch = one(&bytes(&ev, &[&pair(0x5000, 3), b"abc"]));
    let row = batch.get(0).unwrap();
    assert_eq!((row.ptrace_request, row.direction), (Some("PTRACE_GETREGSET"), Some("in")));
    assert_eq!(row.local_iov, Some(Iovecs::Pairs(&[Iovec { base: 0x5000, len: 3 }])));
    assert_eq!((row.bytes, row.bytes_requested, row.payload), (Some(3), Some(3), Some(&b"abc"[..])));
    assert_eq!((row.iov_source, row.iov_verdict, row.toctou), (Some("user"), Some("unverified"), None));
    // A word that the kernel copied is the kernel's.
    (ev.request, ev.local.source, ev.payload.side) = (2, VMT_SOURCE_KERNEL as u8, VMT_SIDE_KERNEL as u8);
    let batch = one(&bytes(&ev, &[&pair(0x5000, 8), b"abc"]));
    let row = batch.get(0).unwrap();
    assert_eq!((row.payload_side, row.payload_at), (Some("kernel"), Some("transfer")));
    assert_eq!((row.iov_source, row.iov_verdict, row.toctou), (Some("kernel"), Some("kernel"), Some(false)));
}

/// preadv of a memory file whose first segment the kernel came to; its array as the caller's memory has it now.
fn preadv(user: &[u8], kept: u16) -> Vec<u8> {
    let mut ev = vmt_mem { hdr: header(VMT_PREADV, VMT_ABI_NATIVE), ret: 2, exact: 1, ..Default::default() };
    ev.local = vmt_iovs { source: VMT_SOURCE_KERNEL as u8, ..iovs(2, 1, 16, VMT_READ_OK) };
    ev.user_local = iovs(2, kept, 16, if kept > 0 { VMT_READ_OK } else { VMT_READ_FAULT });
    let side = VMT_SIDE_KERNEL as u8;
    ev.payload = vmt_payload { total: 2, kept: 2, status: VMT_PAYLOAD_OK as u8, side, ..Default::default() };
    bytes(&ev, &[b"ab", &pair(0x5000, 8), user])
}

#[test]
fn an_array_that_begins_with_what_the_kernel_used_is_recorded_whole() {
    let segments = |bases: [u64; 2]| bases.map(|base| Iovec { base, len: 8 });
    let row_of = |user: &[u8], kept| {
        let batch = one(&preadv(user, kept));
        let row = batch.get(0).unwrap();
        assert_eq!((row.payload, row.iov_source, row.iov_verdict), (Some(&b"ab"[..]), Some("kernel"), Some("kernel")));
        (row.local_iov.map(|l| l.iter().collect::<Vec<_>>()), row.toctou)
    };
    let same = [pair(0x5000, 8), pair(0x6000, 8)].concat();
    assert_eq!(row_of(&same, 2), (Some(segments([0x5000, 0x6000]).to_vec()), Some(false)));
    let changed = [pair(0x7000, 8), pair(0x6000, 8)].concat();
    assert_eq!(row_of(&changed, 2), (Some(vec![Iovec { base: 0x5000, len: 8 }]), Some(true)));
    assert_eq!(row_of(&[], 0), (Some(vec![Iovec { base: 0x5000, len: 8 }]), None));
}

#[test]
fn an_obtained_descriptor_has_a_number_on_each_side() {
    let mut ev = vmt_pidfd_getfd { hdr: header(VMT_PIDFD_GETFD, VMT_ABI_NATIVE), ret: 8, ..Default::default() };
    (ev.pidfd, ev.targetfd, ev.target) = (5, 3, process(TARGET, "target"));
    ev.fd = vmt_fd { fd: 8, ino: 77, kind: VMT_FD_PIPE as u8, flags: VMT_MODE_READ as u8, ..Default::default() };
    let batch = one(&bytes(&ev, &[]));
    let row = batch.get(0).unwrap();
    assert_eq!((row.pidfd, row.target_pid, row.ret, row.bytes), (Some(5), Some(TARGET.0), Some(8), None));
    assert_eq!((row.fd_in, row.fd_in_kind, row.fd_in_mode, row.pipe_in), (Some(3), Some("pipe"), Some("r"), Some(77)));
    assert_eq!((row.fd_out, row.fd_out_kind, row.pipe_out), (Some(8), Some("pipe"), Some(77)));
    assert_eq!((row.iov_source, row.iov_verdict, row.toctou), (Some("user"), Some("unverified"), None));
    (ev.ret, ev.fd) = (-1, vmt_fd { fd: -1, ..Default::default() });
    let batch = one(&bytes(&ev, &[]));
    let row = batch.get(0).unwrap();
    assert_eq!((row.fd_in, row.fd_in_kind, row.fd_out, row.fd_out_kind), (Some(3), None, None, None));
    assert_eq!((row.ret, row.errno), (Some(-1), Some("EPERM")));
}

#[test]
fn advice_has_a_name_and_ranges_of_the_target() {
    let mut ev = vmt_process_madvise { hdr: header(VMT_PROCESS_MADVISE, VMT_ABI_NATIVE), ..Default::default() };
    (ev.ret, ev.advice, ev.remote, ev.target) = (32, 20, iovs(1, 1, 16, VMT_READ_OK), process(TARGET, "target"));
    let batch = one(&bytes(&ev, &[&pair(0x1000, 64)]));
    let row = batch.get(0).unwrap();
    assert_eq!((row.advice, row.bytes, row.bytes_requested), (Some("MADV_COLD"), Some(32), Some(64)));
    assert_eq!(row.remote_iov, Some(Iovecs::Pairs(&[Iovec { base: 0x1000, len: 64 }])));
    assert_eq!((row.local_iov, row.iov_verdict), (None, Some("unverified")));
    (ev.ret, ev.advice) = (65, -3);
    let batch = one(&bytes(&ev, &[&pair(0x1000, 64)]));
    let row = batch.get(0).unwrap();
    assert_eq!((row.advice, row.iov_verdict), (Some("-3"), Some("conflict")));
}

#[test]
fn an_exec_changes_the_executable_that_later_rows_show() {
    let mut decoder = decoder();
    let mut rows = Rows::default();
    let mut ev = vmt_exec { hdr: header(VMT_EXEC, VMT_ABI_NATIVE), argv_len: 6, argv_total: 9, ..Default::default() };
    ev.exe = vmt_fd { kind: VMT_FD_FILE as u8, path_len: 7, ..Default::default() };
    decoder.record(&bytes(&ev, &[b"sh\0bin\0", b"sh\0-c\0"]), &mut rows).unwrap();
    decoder.record(&readv(5, b"hello"), &mut rows).unwrap();
    let batch = rows.batch();
    assert_eq!(batch.get(0).unwrap().argv, Some("sh -c ..."));
    assert_eq!(batch.get(1).unwrap().exe, Some("/bin/sh"));
}

#[test]
fn a_lost_record_is_a_row_per_event() {
    let mut lost = vmt_lost { hdr: header(VMT_LOST, 0), first_ns: 10, last_ns: 30, ..Default::default() };
    lost.count[VMT_PROCESS_VM_READV as usize] = 5;
    lost.count[VMT_TEE as usize] = 1;
    let mut rows = Rows::default();
    decoder().record(&bytes(&lost, &[]), &mut rows).unwrap();
    let batch = rows.batch();
    let lost: Vec<_> = batch.iter().map(|r| (r.lost_event, r.lost_count, r.mono_ns, r.dur_ns)).collect();
    assert_eq!(lost, [(Some("process_vm_readv"), Some(5), 30, Some(20)), (Some("tee"), Some(1), 30, Some(20))]);
    assert_eq!((batch.get(0).unwrap().uid, batch.get(0).unwrap().process_key), (u32::MAX, None));
}

#[test]
fn a_number_that_means_nothing_makes_a_record_undecodable() {
    let refused = |record: &[u8]| decoder().record(record, &mut Nowhere).unwrap_err().kind;
    let with = |at: usize, number: u8| {
        let mut record = readv(5, b"hello");
        record[at] = number;
        record
    };
    let (kind, abi, tier) =
        (std::mem::offset_of!(vmt_hdr, kind), std::mem::offset_of!(vmt_hdr, abi), std::mem::offset_of!(vmt_hdr, tier));
    for number in [0, VMT_OPENS as u8, VMT_RECEIVES as u8, VMT_IOCTL as u8, VMT_KINDS as u8, u8::MAX] {
        assert_eq!(refused(&with(kind, number)), None, "kind {number}");
    }
    let status = std::mem::offset_of!(vmt_vm, local) + std::mem::offset_of!(vmt_iovs, status);
    let source = std::mem::offset_of!(vmt_vm, remote) + std::mem::offset_of!(vmt_iovs, source);
    let side = std::mem::offset_of!(vmt_vm, payload) + std::mem::offset_of!(vmt_payload, side);
    for (part, at) in [("abi", abi), ("tier", tier), ("status", status), ("source", source), ("side", side)] {
        assert_eq!(refused(&with(at, 9)), Some(EventKind::ProcessVmReadv), "{part}");
    }
}

#[test]
fn a_refused_record_leaves_the_decoder_as_it_was() {
    let (mut decoder, mut rows) = (decoder(), Rows::default());
    let good = readv(5, b"hello");
    assert!(decoder.record(&good[..good.len() - 1], &mut rows).is_err());
    decoder.record(&good, &mut rows).unwrap();
    let batch = rows.batch();
    assert_eq!((batch.len(), batch.get(0).unwrap().payload), (1, Some(&b"hello"[..])));
}

/// Takes rows and forgets them.
struct Nowhere;

impl Sink for Nowhere {
    fn row(&mut self, _: EventKind, _: &mut Event<'_>, _: bool) {}
}

#[test]
fn whatever_the_bytes_nothing_breaks() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut decoder = decoder();
    let good = readv(5, b"hello");
    for cut in 0..good.len() {
        // Shorter than it claims: refused, since its payload is missing.
        assert!(decoder.record(&good[..cut], &mut Nowhere).is_err(), "cut at {cut}");
    }
    for _ in 0..20_000 {
        let mut record: Vec<u8> = (0..random() % 400).map(|_| random() as u8).collect();
        if let Some(kind) = record.get_mut(4..6) {
            kind.copy_from_slice(&((random() % 24) as u16).to_ne_bytes());
        }
        // A caller that is nobody, of no cgroup, so that neither /proc nor the cgroup tree is searched for it.
        if let Some(cgroup) = record.get_mut(32..40) {
            cgroup.copy_from_slice(&0u64.to_ne_bytes());
        }
        if let Some(pid) = record.get_mut(40..44) {
            pid.copy_from_slice(&0i32.to_ne_bytes());
        }
        let _ = decoder.record(&record, &mut Nowhere);
    }
}
