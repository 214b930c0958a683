//! Tests whether the kernel allows function hooks at all, before the object is loaded for them. Opening and loading it
//! twice would take longer than everything else.

use std::os::fd::{FromRawFd, OwnedFd};

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Func;
use libbpf_rs::libbpf_sys::{BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, bpf_insn, bpf_prog_load, bpf_prog_load_opts};

use super::object::Refused;

/// `r0 = 0; exit` (Documentation/bpf/standardization/instruction-set.rst).
const NOTHING: [u8; 2] = [0xb7, 0x95];

/// Loads a program that does nothing at the entry of `function`, and drops it: what the kernel says where the right to do
/// that is missing. Anything else is found out by loading what is wanted.
pub fn refuses_functions(btf: &Btf<'_>, function: &str) -> Option<Refused> {
    let id = btf.type_by_name::<Func<'_>>(function)?.type_id();
    let mut options = bpf_prog_load_opts {
        sz: size_of::<bpf_prog_load_opts>() as u64,
        expected_attach_type: BPF_TRACE_FENTRY,
        attach_btf_id: id.into(),
        ..Default::default()
    };
    let name = c"vmtrace_probe";
    let nothing = NOTHING.map(|code| bpf_insn { code, ..Default::default() });
    // SAFETY: all pointers are to live values, and the counts are theirs.
    let fd = unsafe {
        bpf_prog_load(BPF_PROG_TYPE_TRACING, name.as_ptr(), c"GPL".as_ptr(), nothing.as_ptr(), 2, &raw mut options)
    };
    if fd >= 0 {
        // SAFETY: a descriptor that the kernel has just made for us.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        return None;
    }
    let error = std::io::Error::from_raw_os_error(-fd);
    (-fd == libc::EPERM).then(|| Refused { program: None, permission: true, reason: error.to_string() })
}
