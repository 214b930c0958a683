//! Processes that begin, change and end around their transfers.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::buffer::Buffer;
use crate::peer::{Peer, in_child, reap};
use crate::report::Report;
use crate::sys::{self, Region};
use crate::vm::{call, entry};

/// Reads from a child before and after it replaced its program.
pub fn exec_target(report: &mut Report) -> Result<()> {
    let local = Buffer::new(Region::private, &[64])?;
    let remote = Buffer::new(Region::shared, &[64])?;
    remote.fill(0);
    let (ready, tell) = sys::pipe(0)?;
    let (wait, go) = sys::pipe(0)?;
    // SAFETY: this process has one thread, so the child may use everything.
    let pid = match sys::check(unsafe { libc::fork() }, "fork")? {
        0 => {
            let _ = sys::write_all(&tell, &[0]).and_then(|()| sys::read_exact(&wait, 1).map(drop));
            let error = Command::new("sleep").arg("60").exec();
            eprintln!("workload: sleep: {error}");
            // SAFETY: ends the child.
            unsafe { libc::_exit(1) }
        }
        pid => pid,
    };
    sys::read_exact(&ready, 1)?;
    let ret = call(false, pid, local.iov(), remote.iov(), 0);
    ensure!(ret == 64, "the call returned {ret}");
    let seen = entry(false, ret, pid, local.iov(), remote.iov(), 0).with("target_pid", pid).numbered(0);
    report.call(seen.with("target_comm", "workload"));
    sys::write_all(&go, &[0])?;
    // The new name comes some time before the new program runs. (5.10 leaves wchan empty.)
    let sleeps = format!("{} ", libc::SYS_clock_nanosleep);
    wait_for(pid, "syscall", |call| call.starts_with(&sleeps))?;
    let ret = call(false, pid, local.iov(), remote.iov(), 0);
    ensure!(ret == -14, "the call returned {ret} though the child has another program");
    let seen = entry(false, ret, pid, local.iov(), remote.iov(), 0).with("target_pid", pid);
    report.call(seen.with("target_comm", "sleep"));
    report.fact("target_pid", pid);
    // SAFETY: our own child.
    unsafe { libc::kill(pid, libc::SIGTERM) };
    reap(pid);
    Ok(())
}

/// Waits until a file in /proc/PID says what is `wanted`.
pub fn wait_for(pid: i32, file: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let path = format!("/proc/{pid}/{file}");
    for _ in 0..10_000 {
        if wanted(std::fs::read_to_string(&path).context(path.clone())?.trim_end()) {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    anyhow::bail!("{pid}: {file} did not become what it should")
}

/// A child reads, and replaces its program at once.
pub fn exec_caller(report: &mut Report) -> Result<()> {
    let peer = Peer::fork()?;
    let local = Buffer::new(Region::private, &[64])?;
    let remote = Buffer::new(Region::shared, &[64])?;
    // SAFETY: this process has one thread, so the child may use everything.
    match sys::check(unsafe { libc::fork() }, "fork")? {
        0 => {
            // The remote range was mapped after the peer was forked: it does not exist there.
            call(false, peer.pid(), local.iov(), remote.iov(), 0);
            let error = Command::new("true").exec();
            eprintln!("workload: true: {error}");
            // SAFETY: ends the child.
            unsafe { libc::_exit(1) }
        }
        pid => {
            let status = reap(pid);
            ensure!(status == 0, "wait status {status}");
            let seen = entry(false, -14, peer.pid(), local.iov(), remote.iov(), 0);
            report.call(seen.with("pid", pid).with("tid", pid).with("comm", "workload"));
            report.fact("child", pid);
        }
    }
    Ok(())
}

/// Children that read and end in the same breath; the last one's status is 3.
pub fn exit_after_call(report: &mut Report) -> Result<()> {
    let local = Buffer::new(Region::private, &[64])?;
    let remote = Buffer::new(Region::shared, &[64])?;
    remote.fill(0);
    let peer = Peer::fork()?;
    let mut children = Vec::new();
    for n in 0..50 {
        // SAFETY: this process has one thread, so the child may use everything.
        match sys::check(unsafe { libc::fork() }, "fork")? {
            0 => {
                call(false, peer.pid(), local.iov(), remote.iov(), 0);
                // SAFETY: ends the child.
                unsafe { libc::_exit(if n == 49 { 3 } else { 0 }) }
            }
            pid => {
                reap(pid);
                let seen = entry(false, 64, peer.pid(), local.iov(), remote.iov(), 0).numbered(0);
                let seen = seen.with("target_pid", peer.pid()).with("comm", "workload");
                report.call(seen.with("pid", pid).with("tid", pid));
                children.push(pid);
            }
        }
    }
    report.fact("children", children);
    Ok(())
}

/// A child that is killed: its end has a signal, and its calls are kept.
pub fn exit_signal(report: &mut Report) -> Result<()> {
    let local = Buffer::new(Region::private, &[64])?;
    let (pid, _) = in_child(|_| {
        // SAFETY: ends a grandchild, which is ours alone.
        match unsafe { libc::fork() } {
            0 => {
                call(false, std::process::id() as i32, local.iov(), local.iov(), 0);
                // SAFETY: ends this process by a signal.
                unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
                Ok(())
            }
            grandchild => {
                let status = reap(grandchild);
                ensure!(status == libc::SIGKILL, "wait status {status}");
                Ok(())
            }
        }
    })?;
    report.fact("child", pid);
    report.fact("signal", Value::from(libc::SIGKILL));
    Ok(())
}

/// A child's second thread replaces the program: the thread takes over the process's id.
pub fn exec_thread(report: &mut Report) -> Result<()> {
    // SAFETY: this process has one thread, so the child may use everything.
    match sys::check(unsafe { libc::fork() }, "fork")? {
        0 => {
            let thread = std::thread::spawn(|| Command::new("true").exec());
            let error = thread.join();
            eprintln!("workload: true: {error:?}");
            // SAFETY: ends the child.
            unsafe { libc::_exit(1) }
        }
        pid => {
            let status = reap(pid);
            ensure!(status == 0, "wait status {status}");
            report.fact("child", pid);
            Ok(())
        }
    }
}

/// A child's first thread ends; the second one lives on and reads, as the same process.
pub fn exit_leader(report: &mut Report) -> Result<()> {
    let local = Buffer::new(Region::private, &[64])?;
    let remote = Buffer::new(Region::shared, &[64])?;
    remote.fill(0);
    let peer = Peer::fork()?;
    let (pid, output) = in_child(|out| {
        let out = out.try_clone()?;
        let target = peer.pid();
        std::thread::spawn(move || {
            let done = read_alone(&local, &remote, target, &out);
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        });
        // SAFETY: ends this thread alone; the other one uses nothing of its stack.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
        Ok(())
    })?;
    report.fact("child", pid);
    report.child(&serde_json::from_slice(&output)?)
}

/// Waits until the process's first thread has ended, reads, and reports to `out`.
fn read_alone(local: &Buffer, remote: &Buffer, target: i32, out: &OwnedFd) -> Result<()> {
    let leader = format!("/proc/self/task/{}/stat", std::process::id());
    while !std::fs::read_to_string(&leader)?.contains(") Z") {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let ret = call(false, target, local.iov(), remote.iov(), 0);
    let seen = entry(false, ret, target, local.iov(), remote.iov(), 0).with("target_pid", target);
    let mut inner = Report::default();
    inner.call(seen.with("comm", "workload").numbered(0));
    sys::write_all(out, inner.into_json().to_string().as_bytes())
}

/// Children whose eight threads all end at the same moment.
pub fn exit_threads(report: &mut Report) -> Result<()> {
    let mut children = Vec::new();
    for _ in 0..100 {
        // SAFETY: this process has one thread, so the child may use everything.
        match sys::check(unsafe { libc::fork() }, "fork")? {
            0 => {
                let start = std::sync::Arc::new(std::sync::Barrier::new(8));
                for _ in 1..8 {
                    let start = start.clone();
                    std::thread::spawn(move || {
                        start.wait();
                        std::thread::park();
                    });
                }
                start.wait();
                // SAFETY: ends the child with all its threads.
                unsafe { libc::_exit(0) }
            }
            pid => {
                reap(pid);
                children.push(pid);
            }
        }
    }
    report.fact("children", children);
    Ok(())
}
