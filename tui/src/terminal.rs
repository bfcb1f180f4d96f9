//! The terminal: entered, given back, and always restored, whatever ends the program.

use crossterm::{
    cursor, event, execute,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

static ENTERED: AtomicBool = AtomicBool::new(false);

/// Restores the terminal when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Guard(());

impl Guard {
    /// Takes the terminal, and from now on gives it back also before a panic is told.
    ///
    /// # Errors
    /// No terminal, or one that is gone.
    pub fn enter() -> io::Result<Self> {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            previous(panic);
        }));
        let guard = Self(());
        enter()?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

/// Whether there is a terminal to draw on.
#[must_use]
pub fn is_there() -> bool {
    io::stdout().is_terminal()
}

/// Whether it is taken now.
#[must_use]
pub fn is_entered() -> bool {
    ENTERED.load(Ordering::SeqCst)
}

/// Takes it, also again: someone else may have left it otherwise.
///
/// # Errors
/// No terminal, or one that is gone.
pub fn enter() -> io::Result<()> {
    ENTERED.store(true, Ordering::SeqCst);
    terminal::enable_raw_mode()?;
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        event::EnableMouseCapture,
        event::EnableBracketedPaste,
        event::EnableFocusChange,
        cursor::Hide
    )
}

/// Gives it back as it was. Does nothing when it is not taken.
pub fn leave() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    // A terminal that is gone cannot be restored, and nobody is there to be told.
    let _ = execute!(
        io::stdout(),
        event::DisableFocusChange,
        event::DisableBracketedPaste,
        event::DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = terminal::disable_raw_mode();
    let _ = io::stdout().flush();
}
