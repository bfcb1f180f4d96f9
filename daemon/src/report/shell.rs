//! Commands as a person can paste them into a shell.

/// `words` as one line of a POSIX shell, each in quotes where it needs them (POSIX.1-2017, Shell
/// Command Language, 2.2.2 and 2.2.3): single ones, or double ones where those read better.
#[must_use]
pub fn join<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    // What double quotes do not protect; `!` only in interactive shells.
    let special = |c: char| matches!(c, '"' | '$' | '`' | '\\' | '!') || c.is_control();
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if word.contains('\'') && !word.contains(special) {
        format!("\"{word}\"")
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let words = ["printf", "%s|", "a b", "it's", "", "$HOME `id`", "new\nline", "-x=1", "it's \"$HOME\"!", r"\'"];
        let line = join(&words);
        assert!(line.starts_with("printf '%s|' 'a b' \"it's\" '' "), "{line}");
        let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        let expected: String = words[2..].iter().map(|word| format!("{word}|")).collect();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}
