//! Copying through the terminal: OSC 52, which reaches the clipboard of whoever sits at it, through ssh and tmux too.

use base64::{Engine, engine::general_purpose::STANDARD};

/// So much fits, in bytes: xterm takes 100,000 characters of base64 in one sequence, others no more than that.
pub const LONGEST: usize = 74_000;

/// Who stands between this program and the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// Nobody that is known.
    Nobody,
    /// tmux: takes the sequence itself (`set-clipboard on`), or passes on what is wrapped (`allow-passthrough on`).
    Tmux,
    /// GNU screen: passes on what is wrapped, in short pieces.
    Screen,
}

impl Between {
    /// As the environment says.
    #[must_use]
    pub fn found() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if set("TMUX") {
            Self::Tmux
        } else if set("STY") {
            Self::Screen
        } else {
            Self::Nobody
        }
    }
}

/// What is written to the terminal to copy `text`.
///
/// # Errors
/// A text that is too long, as a sentence.
pub fn sequence(text: &str, between: Between) -> Result<String, String> {
    if text.len() > LONGEST {
        return Err(format!(
            "{} bytes are too many for the terminal's clipboard (at most {LONGEST}); save the log to a file instead",
            text.len()
        ));
    }
    let plain = format!("\x1b]52;c;{}\x07", STANDARD.encode(text));
    Ok(match between {
        Between::Nobody => plain,
        // The one of the two that tmux does not take does nothing.
        Between::Tmux => format!("{plain}\x1bPtmux;{}\x1b\\", plain.replace('\x1b', "\x1b\x1b")),
        Between::Screen => {
            let pieces = plain.as_bytes().chunks(700).map(String::from_utf8_lossy);
            pieces.map(|piece| format!("\x1bP{piece}\x1b\\")).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences() {
        assert_eq!(sequence("hi", Between::Nobody).unwrap(), "\x1b]52;c;aGk=\x07");
        assert_eq!(sequence("hi", Between::Tmux).unwrap(), "\x1b]52;c;aGk=\x07\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\");
        assert_eq!(sequence("hi", Between::Screen).unwrap(), "\x1bP\x1b]52;c;aGk=\x07\x1b\\");
        assert!(sequence(&"x".repeat(LONGEST), Between::Nobody).unwrap().len() < 100_000);
        assert!(sequence(&"x".repeat(LONGEST + 1), Between::Nobody).unwrap_err().contains("save the log"));
    }
}
