//! What a program printed, as a browser shows it: text with its colours as classes, and nothing else. Any bytes, cut
//! anywhere; no control sequence, no HTML and no bidirectional override gets through.

use crate::report::text::is_bidi;
use serde::Serialize;
use vte::{Params, Parser, Perform};

/// A line that is longer is cut into several.
const LONGEST_LINE: usize = 8192;

/// Text in one colour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Classes of the stylesheet; empty for plain text.
    pub class: String,
    /// The text.
    pub text: String,
}

/// Makes spans of bytes as they come.
#[derive(Default)]
pub struct Painter {
    parser: Parser,
    screen: Screen,
}

impl Painter {
    /// Takes more bytes; answers the lines that are whole now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Span> {
        self.parser.advance(&mut self.screen, bytes);
        std::mem::take(&mut self.screen.done)
    }

    /// The line that is not whole.
    pub fn rest(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.screen.line)
    }
}

/// All of it at once.
#[must_use]
pub fn spans(bytes: &[u8]) -> Vec<Span> {
    let mut painter = Painter::default();
    let mut spans = painter.push(bytes);
    spans.extend(painter.rest());
    spans
}

#[derive(Default)]
struct Screen {
    done: Vec<Span>,
    line: Vec<Span>,
    length: usize,
    pen: Pen,
    /// A carriage return came, and no line feed yet.
    returned: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Pen {
    fore: Option<u8>,
    back: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    inverse: bool,
}

impl Pen {
    fn class(self) -> String {
        let marks = [(self.bold, "s"), (self.dim, "d"), (self.italic, "i"), (self.underline, "u"), (self.inverse, "v")];
        let mut classes: Vec<String> =
            marks.iter().filter(|(on, _)| *on).map(|(_, class)| (*class).to_owned()).collect();
        classes.extend(self.fore.map(|colour| format!("f{colour}")));
        classes.extend(self.back.map(|colour| format!("b{colour}")));
        classes.join(" ")
    }

    /// One "select graphic rendition" (ECMA-48, 8.3.117; colours of 256 and of RGB as xterm has them).
    fn select(&mut self, params: &Params) {
        let mut all = params.iter();
        while let Some(param) = all.next() {
            let code = param.first().copied().unwrap_or(0);
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = param.get(1) != Some(&0),
                7 => self.inverse = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                27 => self.inverse = false,
                30..=37 => self.fore = Some((code - 30) as u8),
                39 => self.fore = None,
                40..=47 => self.back = Some((code - 40) as u8),
                49 => self.back = None,
                90..=97 => self.fore = Some((code - 82) as u8),
                100..=107 => self.back = Some((code - 92) as u8),
                38 | 48 => {
                    let parts: Vec<u16> = match param.get(1..) {
                        Some(parts) if !parts.is_empty() => parts.to_vec(),
                        // Separated by semicolons, the parts are parameters of their own.
                        _ => {
                            let mut next = || all.next().and_then(|param| param.first().copied());
                            match next() {
                                Some(5) => next().map_or_else(Vec::new, |number| vec![5, number]),
                                Some(2) => match (next(), next(), next()) {
                                    (Some(red), Some(green), Some(blue)) => vec![2, red, green, blue],
                                    _ => Vec::new(),
                                },
                                _ => Vec::new(),
                            }
                        }
                    };
                    let colour = colour(&parts);
                    if code == 38 { self.fore = colour } else { self.back = colour }
                }
                _ => {}
            }
        }
    }
}

/// The nearest of the 16 colours.
fn colour(parts: &[u16]) -> Option<u8> {
    match parts {
        [5, number @ 0..=15] => Some(*number as u8),
        [5, number @ 16..=231] => {
            let cube = number - 16;
            let level = |step: u16| if step == 0 { 0 } else { 55 + step * 40 };
            Some(nearest(level(cube / 36), level(cube / 6 % 6), level(cube % 6)))
        }
        [5, number @ 232..=255] => {
            let grey = 8 + (number - 232) * 10;
            Some(nearest(grey, grey, grey))
        }
        [2, .., red, green, blue] => Some(nearest(*red, *green, *blue)),
        _ => None,
    }
}

fn nearest(red: u16, green: u16, blue: u16) -> u8 {
    let high = red.max(green).max(blue);
    if high < 50 {
        return 0;
    }
    let on = |part: u16| u8::from(part * 2 > high);
    let (bits, grey) = (on(red) | on(green) << 1 | on(blue) << 2, red.min(green).min(blue) * 4 > high * 3);
    match (grey, high) {
        (true, ..140) => 8,
        (true, ..220) => 7,
        (true, _) => 15,
        (false, ..180) => bits,
        (false, _) => bits + 8,
    }
}

impl Screen {
    fn put(&mut self, c: char) {
        if self.returned {
            // As a terminal does: the line is written anew.
            (self.returned, self.length) = (false, 0);
            self.line.clear();
        }
        if self.length >= LONGEST_LINE {
            self.end_line();
        }
        self.length += c.len_utf8();
        let class = self.pen.class();
        match self.line.last_mut() {
            Some(last) if last.class == class => last.text.push(c),
            _ => self.line.push(Span { class, text: c.to_string() }),
        }
    }

    fn end_line(&mut self) {
        (self.returned, self.length) = (false, 0);
        match self.line.last_mut() {
            Some(last) => last.text.push('\n'),
            None => self.line.push(Span { class: String::new(), text: "\n".to_owned() }),
        }
        for span in self.line.drain(..) {
            match self.done.last_mut() {
                Some(last) if last.class == span.class => last.text.push_str(&span.text),
                _ => self.done.push(span),
            }
        }
    }
}

impl Perform for Screen {
    fn print(&mut self, c: char) {
        if !is_bidi(c) && !c.is_control() {
            self.put(c);
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => self.end_line(),
            b'\t' => self.put('\t'),
            b'\r' => self.returned = true,
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        if action == 'm' && intermediates.is_empty() {
            self.pen.select(params);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(String, String)> {
        spans(text.as_bytes()).into_iter().map(|span| (span.class, span.text)).collect()
    }

    fn span(class: &str, text: &str) -> (String, String) {
        (class.to_owned(), text.to_owned())
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(shown("a\u{1b}[1;31mb\u{1b}[0mc\n"), [span("", "a"), span("s f1", "b"), span("", "c\n")]);
        assert_eq!(shown("\u{1b}[38;5;196mx"), [span("f9", "x")]);
        assert_eq!(shown("\u{1b}[38;2;0;200;0;4mx"), [span("u f10", "x")]);
        assert_eq!(shown("\u{1b}[48:2::10:10:10mx"), [span("b0", "x")]);
        assert_eq!(shown("\u{1b}[38;5mx\u{1b}[38mx\u{1b}[999mx"), [span("", "xxx")]);
    }

    #[test]
    fn everything_else_is_dropped_or_shown_as_text() {
        let hostile = "<script>\u{1b}]0;title\u{7}\u{1b}[2J\u{202e}evil\u{0}\u{8}\u{9b}31m\u{1b}(0&\n";
        assert_eq!(shown(hostile), [span("", "<script>evil31m&\n")]);
        assert_eq!(shown("10 %\r20 %\rdone\r\n"), [span("", "done\n")]);
        assert_eq!(spans(b"\xff\xfe\n")[0].text, "\u{fffd}\u{fffd}\n");
    }

    #[test]
    fn it_is_the_same_wherever_the_bytes_are_cut() {
        let text = "é\u{1b}[32mgrün\u{1b}[0m\r\n\u{1b}[1mz\u{fc}\n".as_bytes();
        let text: String = spans(text).iter().map(|span| span.text.as_str()).collect();
        for cut in 0..text.len() {
            let mut painter = Painter::default();
            let bytes = "é\u{1b}[32mgrün\u{1b}[0m\r\n\u{1b}[1mz\u{fc}\n".as_bytes();
            let mut all = painter.push(&bytes[..cut]);
            all.extend(painter.push(&bytes[cut..]));
            assert_eq!(all.iter().map(|span| span.text.as_str()).collect::<String>(), text, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let spans = spans("x".repeat(100_000).as_bytes());
        assert_eq!(spans.iter().map(|span| span.text.matches('\n').count()).sum::<usize>(), 100_000 / LONGEST_LINE);
    }
}
