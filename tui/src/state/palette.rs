//! The palette: a command is typed, with suggestions out of the table of keys.

use super::{Column, Filter, State};
use crate::keys::{self, BINDINGS, Binding, Takes};
use tui_input::Input;

/// The palette.
#[derive(Debug, Default)]
pub struct Palette {
    /// What is typed.
    pub input: Input,
    /// Which suggestion is chosen, once one was.
    pub chosen: Option<usize>,
}

/// What may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The whole line.
    pub line: String,
    /// What has to follow it, for people.
    pub takes: &'static str,
    /// What it does.
    pub help: &'static str,
    /// The key that does the same.
    pub keys: String,
}

/// A line that was typed, understood.
#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) binding: &'static Binding,
    pub(super) argument: Option<String>,
}

/// Understands a line.
pub(super) fn understand(state: &State, line: &str) -> Result<Spoken, String> {
    let line = line.trim();
    let (word, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim();
    // `:17` is what one says for a job.
    if let (Some(binding), true, Ok(_)) = (keys::by_word("job", state.view()), argument.is_empty(), word.parse::<i64>())
    {
        return Ok(Spoken { binding, argument: Some(word.to_owned()) });
    }
    let Some(binding) = keys::by_word(word, state.view()) else {
        let near = suggestions(state, word.get(..1).unwrap_or_default());
        let hint = near.first().map_or_else(String::new, |near| format!("; did you mean `{}`?", near.line.trim()));
        return Err(format!("there is no command `{word}`{hint} (? lists all)"));
    };
    match (binding.takes, argument) {
        (_, "") => Ok(Spoken { binding, argument: None }),
        (Takes::Nothing, extra) => Err(format!("`{word}` takes nothing, but `{extra}` follows it")),
        (_, argument) => Ok(Spoken { binding, argument: Some(argument.to_owned()) }),
    }
}

/// What may be meant by what is typed so far.
#[must_use]
pub fn suggestions(state: &State, typed: &str) -> Vec<Suggestion> {
    let typed = typed.trim_start();
    match typed.split_once(' ') {
        None => commands(state, typed),
        Some((word, argument)) => keys::by_word(word, state.view())
            .map(|binding| arguments(state, word, argument.trim_start(), binding))
            .unwrap_or_default(),
    }
}

fn commands(state: &State, typed: &str) -> Vec<Suggestion> {
    let offered = |binding: &&Binding| {
        !binding.word.is_empty() && binding.word.starts_with(typed) && !(binding.acts && state.options.read_only)
    };
    let here = |binding: &&Binding| binding.places.contains(&state.view());
    let mut found: Vec<&Binding> = BINDINGS.iter().filter(offered).collect();
    // What can be done here comes first.
    found.sort_by_key(|binding| !here(binding));
    let suggest = |binding: &Binding| Suggestion {
        line: format!("{}{}", binding.word, if binding.takes == Takes::Nothing { "" } else { " " }),
        takes: binding.takes.label(),
        help: binding.help,
        keys: binding.keys.first().map(|key| key.label(state.options.ascii)).unwrap_or_default(),
    };
    found.into_iter().map(suggest).collect()
}

fn arguments(state: &State, word: &str, typed: &str, binding: &'static Binding) -> Vec<Suggestion> {
    let names: Vec<String> = match binding.takes {
        Takes::Filter => Filter::ALL.iter().map(|filter| filter.name().to_owned()).collect(),
        Takes::Column => Column::ALL.iter().map(|column| column.title().to_lowercase()).collect(),
        Takes::Host => state.options.hosts.clone(),
        Takes::Job => state.jobs.shown().iter().take(200).map(ToString::to_string).collect(),
        Takes::Nothing | Takes::Text | Takes::File => Vec::new(),
    };
    let suggest = |name: String| Suggestion {
        line: format!("{word} {name}"),
        takes: "",
        help: binding.help,
        keys: String::new(),
    };
    names.into_iter().filter(|name| name.starts_with(typed)).map(suggest).collect()
}

impl State {
    /// What the palette suggests now.
    #[must_use]
    pub fn suggestions(&self, palette: &Palette) -> Vec<Suggestion> {
        suggestions(self, palette.input.value())
    }
}
