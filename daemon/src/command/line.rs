//! One command line: its source is read word by word, up to where the script begins.

use super::grammar::{self, OptionRow, Take};
use super::markdown::{CommandLine, Fence};
use super::mistake::{Draft, shown};
use super::{Bisect, Command, Mistake, Options, value, words};

/// What the line asks for, or what is wrong with it.
pub(super) fn parse(line: &CommandLine<'_>) -> Result<Command, Mistake> {
    let mut reading = Reading { rest: line.rest, ..Reading::default() };
    match reading.command(line.fence.as_ref()) {
        Ok(command) => Ok(command),
        Err(what) => Err(Mistake { what, example: reading.draft.example() }),
    }
}

/// The same for an example, which stands alone.
pub(super) fn parses(example: &str) -> bool {
    let Some(rest) = example.strip_prefix("/bisect ") else { return false };
    let mut reading = Reading { rest, ..Reading::default() };
    reading.command(None).is_ok()
}

#[derive(Default)]
struct Reading<'a> {
    rest: &'a str,
    options: Options,
    /// What was right, of which the example is made.
    draft: Draft,
    /// The first thing that was wrong; reading goes on, so that the example holds what is right.
    wrong: Option<String>,
}

impl<'a> Reading<'a> {
    fn command(&mut self, fence: Option<&Fence>) -> Result<Command, String> {
        if self.rest.is_empty() {
            return Err("After /bisect stands nothing. It takes a good commit, a bad one, and a command.".into());
        }
        if self.rest.starts_with([':', ',', '.', ';', '!', '?']) {
            self.wrong(format!("After /bisect belongs a space, not “{}”.", shown(&self.rest[..1])));
            self.rest = self.rest[1..].trim_start();
        }
        match self.word() {
            Some(command) => command,
            None => self.bisect(fence),
        }
    }

    fn wrong(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    /// `help` and its like.
    fn word(&mut self) -> Option<Result<Command, String>> {
        let (word, rest) = self.rest.split_once(char::is_whitespace).unwrap_or((self.rest, ""));
        let row = grammar::WORDS.iter().find(|row| row.name.eq_ignore_ascii_case(word))?;
        self.draft.word = Some(row.name);
        self.rest = rest.trim();
        // Whoever asks for help, however, gets it.
        if row.name == "help" {
            return Some(Ok((row.command)(&self.options)));
        }
        if row.option.is_some_and(|name| named(self.rest, name)) {
            self.options();
        }
        let follows = || match row.option {
            Some(name) => {
                format!("“{}” takes {name} and nothing else after it, but “{}” follows.", row.name, shown(rest))
            }
            None => format!("“{}” takes nothing after it, but “{}” follows.", row.name, shown(rest)),
        };
        let runs = self.options.runs;
        let more = !self.rest.is_empty() || self.options != Options { runs, ..Options::default() };
        Some(match self.wrong.take() {
            Some(what) => Err(what),
            None if more => Err(follows()),
            None => Ok((row.command)(&self.options)),
        })
    }

    fn bisect(&mut self, fence: Option<&Fence>) -> Result<Command, String> {
        let good = self.end("good");
        let bad = self.end("bad");
        self.options();
        let script = self.script(fence);
        if let (Some(good), Some(bad)) = (&good, &bad)
            && good == bad
        {
            self.draft.bad = None;
            self.wrong(format!("Both ends are “{}”: there is nothing between them.", shown(good)));
        }
        match (self.wrong.take(), good, bad, script) {
            (None, Some(good), Some(bad), Some(script)) => {
                let options = std::mem::take(&mut self.options);
                Ok(Command::Bisect(Box::new(Bisect { good, bad, script, options })))
            }
            (what, ..) => Err(what.unwrap_or_else(|| "This is not understood.".into())),
        }
    }

    /// The next word; a quote that is not closed ends the line.
    fn next(&mut self) -> Option<words::Word<'a>> {
        match words::next(self.rest) {
            Ok(next) => {
                let (word, rest) = next?;
                self.rest = rest;
                Some(word)
            }
            Err(words::Unclosed(quote)) => {
                self.wrong(format!("A quote is opened and not closed: “{}”.", shown(quote)));
                self.rest = "";
                None
            }
        }
    }

    /// The good or the bad end, with the options before it.
    fn end(&mut self, which: &str) -> Option<String> {
        self.options();
        let Some(word) = self.next() else {
            self.wrong(format!("The {which} commit is missing: it takes a good one, a bad one, and a command."));
            return None;
        };
        let text = word.text.strip_prefix('`').and_then(|text| text.strip_suffix('`')).unwrap_or(&word.text);
        if which == "good" && text.eq_ignore_ascii_case("auto") {
            self.wrong("“auto” in the place of the good commit is not offered yet; name a commit that works.".into());
            return None;
        }
        match value::reference(text) {
            Ok(name) => {
                let place = if which == "good" { &mut self.draft.good } else { &mut self.draft.bad };
                *place = Some(name.clone());
                Some(name)
            }
            Err(why) => {
                self.wrong(format!("The {which} commit “{}” {why}.", shown(text)));
                None
            }
        }
    }

    /// All options that stand here.
    fn options(&mut self) {
        while is_option(self.rest) {
            let Some(word) = self.next() else { return };
            let text = dashes(&word.text);
            if text == "--" {
                return;
            }
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text.as_str(), None),
            };
            match grammar::option(name) {
                Some(row) => self.option(row, word.raw, value),
                None => self.unknown(name),
            }
        }
    }

    fn unknown(&mut self, name: &str) {
        let hint = grammar::nearest(name).map_or_else(String::new, |near| format!(" Did you mean {near}?"));
        self.wrong(format!("There is no option “{}”.{hint}", shown(name)));
    }

    fn option(&mut self, row: &'static OptionRow, raw: &str, given: Option<String>) {
        let mut source = raw.to_owned();
        let mut value = given;
        if row.argument.is_some()
            && value.is_none()
            && !is_option(self.rest)
            && let Some(word) = self.next()
        {
            source = format!("{source} {}", word.raw);
            value = Some(word.text);
        }
        let done = match (row.take, value) {
            (Take::ShellOnly(instead), _) => {
                Err(format!("{} is an option of the program bisectd; {instead}.", row.name).replace('`', ""))
            }
            (Take::Flag(set), None) => {
                set(&mut self.options);
                Ok(())
            }
            (Take::Flag(_), Some(_)) => Err(format!("{} takes no value.", row.name)),
            (Take::Value(_), None) => Err(format!("{} needs a value.", row.name)),
            (Take::Value(set), Some(value)) => set(&mut self.options, &value)
                .map_err(|why| format!("{} “{}” {}.", row.name, shown(&value), why.replace('`', ""))),
        };
        match done {
            Ok(()) => self.draft.options.push(source),
            Err(what) if self.wrong.is_none() => {
                self.draft.mended = row.offered().then_some(row);
                self.wrong = Some(what);
            }
            Err(_) => {}
        }
    }

    /// What is left of the line, or the fence below it.
    fn script(&mut self, fence: Option<&Fence>) -> Option<String> {
        let text = match fence {
            Some(fence) if fence.adjacent || self.rest.is_empty() => {
                if fence.nul {
                    self.wrong("The script holds a NUL character, which no command can.".into());
                    return None;
                }
                fence.text.as_str()
            }
            _ => self.rest,
        };
        match value::script(text).and_then(|text| sensible(&text).map(|()| text)) {
            Ok(script) => {
                self.draft.script = Some(script.clone());
                Some(script)
            }
            Err(_) if text.trim().is_empty() => {
                let what = "The command is missing: it stands after both commits, or in a fenced code block below.";
                self.wrong(what.into());
                None
            }
            Err(why) => {
                self.wrong(format!("The command {why}."));
                None
            }
        }
    }
}

/// What a shell would take, and nobody can mean.
fn sensible(script: &str) -> Result<(), String> {
    let inner = script.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
    if inner.is_some_and(|inner| !inner.contains('`')) {
        return Err("stands in backticks, so that a shell would run what it prints; leave them out".into());
    }
    if !script.contains('\n') && script.starts_with('-') {
        return Err("begins with a dash, as no program does; options stand before it".into());
    }
    let backslashes = script.len() - script.trim_end_matches('\\').len();
    if backslashes % 2 == 1 {
        return Err("ends with a backslash; a longer one belongs in a fenced code block below".into());
    }
    Ok(())
}

/// Whether this option stands there.
fn named(source: &str, name: &str) -> bool {
    let word = source.split(|c: char| c == '=' || c.is_whitespace()).next().unwrap_or_default();
    dashes(word).eq_ignore_ascii_case(name)
}

/// Whether an option begins here. A name that begins with one dash is none, and refused as one.
fn is_option(source: &str) -> bool {
    source.starts_with("--") || source.starts_with(DASHES)
}

/// What phones make of two dashes.
const DASHES: [char; 2] = ['\u{2014}', '\u{2013}'];

fn dashes(word: &str) -> String {
    word.strip_prefix(DASHES).map_or_else(|| word.to_owned(), |name| format!("--{name}"))
}
