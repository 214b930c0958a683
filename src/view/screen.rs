//! The terminal: raw mode and the other screen, and leaving both however the viewer ends.
//!
//! Owns what is between the viewer and the terminal. Keys and signals come from threads of their own, so nothing is asked for
//! while nothing happens.

use std::io::{self, Stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender};

use anyhow::{Context, Result};
use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{self, Event as Input, KeyEventKind};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::unistd::Pid;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;

use super::Message;
use super::app::{App, Ask};

/// Signals that come as messages: those that end the program, stop it, or let it go on.
const SIGNALS: [Signal; 5] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTSTP, Signal::SIGCONT];

/// Whether the terminal is ours.
static OURS: AtomicBool = AtomicBool::new(false);

/// Has a panic leave the terminal whole before it is reported. Those that are caught are no panics here: their hook comes before
/// this one.
pub fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
        }));
    });
}

/// Takes the terminal.
fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    OURS.store(true, SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)
}

/// Leaves the terminal as it was.
fn leave() {
    if OURS.swap(false, SeqCst) {
        // Nothing more can be done where it has gone.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

/// Leaves the terminal at the end.
struct Taken;

impl Drop for Taken {
    fn drop(&mut self) {
        leave();
    }
}

type Screen = Terminal<CrosstermBackend<Stdout>>;

/// Shows the viewer until it is ended.
///
/// # Errors
/// When the terminal cannot be written.
pub fn run(app: &mut App, signals: &SigSet, sender: Sender<Message>, receiver: &Receiver<Message>) -> Result<()> {
    let _taken = Taken;
    enter().context("cannot use this terminal")?;
    watch_input(sender)?;
    let mut screen = Terminal::new(CrosstermBackend::new(io::stdout()))?;
    loop {
        app.poll();
        show(app, &mut screen)?;
        let first = receiver.recv()?;
        // What has come meanwhile is shown at once.
        for message in std::iter::once(first).chain(receiver.try_iter()) {
            match message {
                Message::Input(Input::Key(key)) if key.kind != KeyEventKind::Release => app.key(&key),
                Message::Input(_) | Message::Progress => {}
                Message::Gone => return Ok(()),
                Message::Signal(Signal::SIGTSTP) => app.asks.push(Ask::Suspend),
                Message::Signal(Signal::SIGCONT) => resume(&mut screen)?,
                Message::Signal(signal) => end_by(signal, signals),
            }
        }
        app.poll();
        for ask in std::mem::take(&mut app.asks) {
            match ask {
                Ask::Quit => return Ok(()),
                Ask::Redraw => redraw(&mut screen)?,
                Ask::Suspend => suspend(&mut screen)?,
                Ask::Copy(text) => {
                    execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))?;
                }
            }
        }
    }
}

fn show(app: &mut App, screen: &mut Screen) -> Result<()> {
    screen.draw(|frame| {
        if let Some(cursor) = app.draw(frame.buffer_mut()) {
            frame.set_cursor_position(cursor);
        }
    })?;
    Ok(())
}

/// Sends keys and sizes.
fn watch_input(sender: Sender<Message>) -> Result<()> {
    let read = move || {
        loop {
            let message = event::read().map_or(Message::Gone, Message::Input);
            let is_last = matches!(message, Message::Gone);
            if sender.send(message).is_err() || is_last {
                break;
            }
        }
    };
    std::thread::Builder::new()
        .name("vmtrace-keys".into())
        .spawn(read)
        .context("cannot start a thread to read keys")?;
    Ok(())
}

/// Sends signals. They are blocked in all threads that begin later; returns which.
///
/// # Errors
/// When no thread can be started.
pub fn watch_signals(sender: Sender<Message>) -> Result<SigSet> {
    let signals: SigSet = SIGNALS.into_iter().collect();
    signals.thread_block()?;
    let wait = move || {
        while let Ok(signal) = signals.wait() {
            if sender.send(Message::Signal(signal)).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new()
        .name("vmtrace-signal".into())
        .spawn(wait)
        .context("cannot start a thread for signals")?;
    Ok(signals)
}

/// Ends the program as the signal would have.
fn end_by(signal: Signal, signals: &SigSet) {
    leave();
    let _ = signals.thread_unblock();
    let _ = raise(signal);
}

/// Stops, with all processes of the job, as the terminal would have it.
fn suspend(screen: &mut Screen) -> Result<()> {
    leave();
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTSTP);
    stop.thread_unblock()?;
    // This is where the program stops; without a shell to continue it, it does not.
    let stopped = kill(Pid::from_raw(0), Signal::SIGTSTP);
    stop.thread_block()?;
    stopped.context("cannot stop")?;
    resume(screen)
}

/// Takes the terminal again and draws everything.
fn resume(screen: &mut Screen) -> Result<()> {
    // Whoever had it meanwhile may have changed its modes.
    let _ = disable_raw_mode();
    enter().context("cannot use this terminal")?;
    redraw(screen)
}

/// Has everything drawn again. `clear` would ask the terminal where its cursor is, and the answer would go to the thread that reads
/// keys.
fn redraw(screen: &mut Screen) -> Result<()> {
    let size = screen.size()?;
    screen.resize(Rect::new(0, 0, size.width, size.height))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::reader::guarded;

    /// In a process of its own: hooks are those of the whole process.
    #[test]
    fn a_panic_leaves_the_terminal_unless_it_is_caught() {
        const ALONE: &str = "VMTRACE_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let name = "view::screen::tests::a_panic_leaves_the_terminal_unless_it_is_caught";
            let mut test = std::process::Command::new(std::env::current_exe().unwrap());
            let ended = test.args(["--exact", name]).env(ALONE, "1").output().unwrap();
            let said = String::from_utf8_lossy(&ended.stdout);
            assert!(ended.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        install_hook();
        OURS.store(true, SeqCst);
        assert!(guarded::<()>(|| panic!("caught")).is_err());
        assert!(OURS.load(SeqCst), "the screen stays");
        assert!(std::panic::catch_unwind(|| panic!("not caught by a guard")).is_err());
        assert!(!OURS.load(SeqCst), "the terminal is as before, and the panic is reported on it");
    }
}
