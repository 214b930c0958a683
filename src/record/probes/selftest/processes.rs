//! The self-test's processes: a caller that makes the transfers, and its child, the target.
//!
//! Both are forked from the recorder while it has one thread, and end with it: the kernel kills a process whose
//! parent ends (PR_SET_PDEATHSIG). They never return into the recorder's code and leave no core file.

use std::io::{PipeReader, Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::thread::CapabilitySet;

use super::scene::Scene;
use super::sys;
use crate::record::privileges;
use crate::record::probes::selftest::expectation::{Board, Expectation, Field, SIZE, State};
use crate::record::probes::selftest::transfers::{self, KINDS};
use crate::schema::events::EventKind;

/// A caller that takes longer hangs. Many times what it needs on an emulated machine.
const LIMIT: Duration = Duration::from_secs(20);
/// How often its end is looked for.
const TICK: Duration = Duration::from_micros(200);

/// Has a process make the transfers `chosen`, and waits for its end. `track` is called with its pid before it begins.
///
/// # Errors
/// When there can be no process, or it hangs; it has been ended then.
pub fn play(chosen: &[usize], track: impl FnOnce(i32) -> Result<()>) -> Result<Board> {
    let board = Board::new(KINDS.len())?;
    let field = Field::new(KINDS.len(), false)?;
    let low = Field::new(KINDS.len(), true).ok();
    for slot in 0..KINDS.len() {
        [Some(&field), low.as_ref()].into_iter().flatten().for_each(|f| f.fill_remote(slot, &text(slot)));
    }
    let (gate, mut go) = std::io::pipe().context("no pipe for the self-test")?;
    let recorder = std::process::id() as i32;
    // SAFETY: the recorder has one thread; the child ends in `caller`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(go);
        let scene = Scene {
            board: &board,
            field: &field,
            low: low.as_ref(),
            pid: std::process::id() as i32,
            target: 0,
            lent: gate.as_raw_fd(),
            slot: 0,
            text: [0; SIZE],
        };
        let work = || caller(scene, gate, chosen, recorder);
        // A panic must not unwind into the recorder's code.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        end(1);
    }
    if pid < 0 {
        bail!("no process for the self-test: {}", std::io::Error::last_os_error());
    }
    drop(gate);
    let begun = track(pid).and_then(|()| go.write_all(&[1]).context("the self-test's process is gone"));
    if begun.is_err() {
        kill(pid);
    }
    let ended = await_end(pid);
    begun.and(ended).map(|()| board)
}

/// What transfer `slot` moves: bytes that say what they are.
fn text(slot: usize) -> [u8; SIZE] {
    let mut text = [b'.'; SIZE];
    let words = format!("#{slot:02} vmtrace self-test: {}", KINDS.get(slot).map_or("", |kind| kind.name));
    text.iter_mut().zip(words.bytes()).for_each(|(to, from)| *to = from);
    text
}

/// The caller's life.
fn caller(mut scene: Scene<'_>, mut gate: PipeReader, chosen: &[usize], recorder: i32) {
    live_no_longer_than(recorder);
    no_core_file();
    if gate.read_exact(&mut [0]).is_err() {
        return;
    }
    scene.target = match start_target(scene.pid) {
        Some(target) => target,
        None => return,
    };
    for &slot in chosen {
        let Some(kind) = KINDS.get(slot) else { continue };
        (scene.slot, scene.text) = (slot, text(slot));
        scene.board.write(slot, Expectation { state: State::Begun, ..Expectation::default() });
        scene.board.write(slot, (kind.act)(&scene));
    }
    kill(scene.target);
    sys::wait(scene.target, libc::__WALL);
    if let Some(slot) = chosen.iter().find(|slot| KINDS.get(**slot).is_some_and(|k| k.event == EventKind::ProcessExec))
    {
        scene.board.write(*slot, Expectation::refused(transfers::execute()));
    }
    end(transfers::EXIT_CODE);
}

/// Starts the target, and waits until it can be reached into.
fn start_target(caller: i32) -> Option<i32> {
    let (mut ready, mut say) = std::io::pipe().ok()?;
    // SAFETY: the child waits for its end.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        live_no_longer_than(caller);
        open_up();
        let _ = say.write_all(&[1]);
        loop {
            // SAFETY: takes nothing.
            unsafe { libc::pause() };
        }
    }
    drop(say);
    (pid > 0 && ready.read_exact(&mut [0]).is_ok()).then_some(pid)
}

/// Lets this user's processes reach into this one, which a program that got capabilities from its file does not
/// (proc(5), PR_SET_DUMPABLE); it has none any more, then.
fn open_up() {
    privileges::keep_only(CapabilitySet::empty());
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
}

/// Ends this process when its parent ends, or at once if that has happened.
fn live_no_longer_than(parent: i32) {
    // SAFETY: plain numbers.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != parent {
            libc::_exit(1);
        }
    }
}

/// A limit of 1 byte keeps a core from a file and from a program alike (core(5), fs/coredump.c).
fn no_core_file() {
    let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
    // SAFETY: `limit` outlives the call. Where it fails, a core is the worst that can come.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) };
}

fn end(code: i32) -> ! {
    // SAFETY: ends this process without any of the recorder's last words.
    unsafe { libc::_exit(code) }
}

/// Kills a child of ours.
fn kill(pid: i32) {
    // SAFETY: a child that was not waited for, whose pid is therefore nobody else's.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

fn await_end(pid: i32) -> Result<()> {
    let begun = Instant::now();
    loop {
        // SAFETY: no status is asked for.
        match unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) } {
            0 if begun.elapsed() < LIMIT => std::thread::sleep(TICK),
            0 => {
                kill(pid);
                sys::wait(pid, 0);
                bail!("the self-test's process did not end within {} s", LIMIT.as_secs());
            }
            _ => return Ok(()),
        }
    }
}
