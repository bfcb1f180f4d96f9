//! Commands as a person can paste them into a shell.

/// `words` as one line of a POSIX shell, each in single quotes where it needs them (POSIX.1-2017,
/// Shell Command Language, 2.2.2).
#[must_use]
pub fn join<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { always_quote(word) }
}

/// `word` in single quotes, for readers that insist on them.
#[must_use]
pub fn always_quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let words = ["printf", "%s|", "a b", "it's", "", "$HOME `id`", "new\nline", "-x=1"];
        let line = join(&words);
        assert!(line.starts_with("printf '%s|' 'a b' 'it'\\''s' '' "), "{line}");
        let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        let expected: String = words[2..].iter().map(|word| format!("{word}|")).collect();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}
