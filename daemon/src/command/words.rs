//! The words of a line, quoted as in a shell: `"…"`, `'…'` and `\`, and the curly quotes of phones.

/// One word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// What it means, without its quotes.
    pub(super) text: String,
    /// Its source.
    pub(super) raw: &'a str,
}

/// A quote that is opened and not closed: the source from it on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclosed<'a>(pub(super) &'a str);

const DOUBLE: [char; 4] = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}'];
const SINGLE: [char; 4] = ['\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];

/// The first word of `source` and what follows it, white space left out; `None` at the end.
pub(super) fn next(source: &str) -> Result<Option<(Word<'_>, &str)>, Unclosed<'_>> {
    let source = source.trim_start();
    let mut text = String::new();
    let mut rest = source.char_indices();
    let mut end = source.len();
    while let Some((at, c)) = rest.next() {
        // A curly quote within a word is an apostrophe.
        let begins = at == 0 || source[..at].ends_with('=');
        match c {
            c if c.is_whitespace() => {
                end = at;
                break;
            }
            '\\' => text.extend(rest.next().map(|(_, c)| c)),
            c if c == '"' || (begins && DOUBLE.contains(&c)) => {
                quoted(&mut rest, &mut text, |c| c == '"' || DOUBLE.contains(&c), true)
                    .ok_or(Unclosed(&source[at..]))?;
            }
            c if c == '\'' || (begins && SINGLE.contains(&c)) => {
                let curly = c != '\'';
                let closes = |c| c == '\'' || (curly && SINGLE.contains(&c));
                quoted(&mut rest, &mut text, closes, false).ok_or(Unclosed(&source[at..]))?;
            }
            c => text.push(c),
        }
    }
    let raw = &source[..end];
    Ok((!raw.is_empty()).then(|| (Word { text, raw }, source[end..].trim_start())))
}

/// Takes what a quote holds; `None` if it is not closed. A backslash keeps what a shell would else read
/// (POSIX.1-2017, Shell Command Language, 2.2.3).
fn quoted(
    rest: &mut std::str::CharIndices<'_>,
    text: &mut String,
    closes: impl Fn(char) -> bool,
    escapes: bool,
) -> Option<()> {
    loop {
        match rest.next()?.1 {
            c if closes(c) => return Some(()),
            '\\' if escapes => {
                let (_, c) = rest.next()?;
                if !matches!(c, '"' | '\\' | '$' | '`') && !closes(c) {
                    text.push('\\');
                }
                text.push(c);
            }
            c => text.push(c),
        }
    }
}
