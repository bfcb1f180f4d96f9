//! The one table of keys and commands: input, the hints at the bottom, the help and the palette are all made of it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Where a key is pressed: a view, or something that lies over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The table of jobs.
    Jobs,
    /// One job.
    Job,
    /// Its output.
    Log,
    /// The fleet.
    Servers,
    /// The numbers.
    Overview,
    /// Who did what.
    Audit,
    /// All keys.
    Help,
    /// What came of actions.
    Messages,
    /// A question to be answered.
    Question,
    /// A line to be typed.
    Line,
    /// The palette of commands.
    Palette,
    /// A choice of servers.
    Choice,
}

impl Place {
    /// The views that are not above another one, in the order of their tabs.
    pub const TABS: [Self; 4] = [Self::Jobs, Self::Servers, Self::Overview, Self::Audit];

    /// Its name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Jobs => "Jobs",
            Self::Job => "Job",
            Self::Log => "Log",
            Self::Servers => "Servers",
            Self::Overview => "Overview",
            Self::Audit => "Audit",
            Self::Help => "Help",
            Self::Messages => "Messages",
            Self::Question => "In a question",
            Self::Line => "In a line",
            Self::Palette => "In the palette",
            Self::Choice => "In a choice",
        }
    }
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is described in the table, for users too")]
pub enum Command {
    Up,
    Down,
    HalfUp,
    HalfDown,
    PageUp,
    PageDown,
    First,
    Last,
    Left,
    Right,
    Open,
    OpenLog,
    Cancel,
    Retry,
    RetryWithRuns,
    Mark,
    MarkAll,
    Find,
    Filter,
    Sort,
    SortRound,
    Follow,
    Copy,
    CopyPage,
    NextPane,
    PreviousPane,
    Next,
    Previous,
    Wrap,
    Times,
    OnlyProbe,
    NextProbe,
    PreviousProbe,
    Select,
    Save,
    Drain,
    Undrain,
    ShowJobs,
    ShowServers,
    ShowOverview,
    ShowAudit,
    ShowJob,
    NextView,
    PreviousView,
    Help,
    Messages,
    Palette,
    Host,
    Reconnect,
    ReconnectAsking,
    Utc,
    Back,
    Leave,
    Redraw,
    Suspend,
    Quit,
    Yes,
    No,
    Accept,
    Complete,
}

/// A key as it is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    ctrl: bool,
}

impl Key {
    const fn letter(letter: char) -> Self {
        Self { code: KeyCode::Char(letter), ctrl: false }
    }

    const fn ctrl(letter: char) -> Self {
        Self { code: KeyCode::Char(letter), ctrl: true }
    }

    const fn named(code: KeyCode) -> Self {
        Self { code, ctrl: false }
    }

    /// The key of an event; none with Alt and the like held.
    #[must_use]
    pub fn of(event: &KeyEvent) -> Option<Self> {
        let known = KeyModifiers::SHIFT | KeyModifiers::CONTROL;
        let plain = known.contains(event.modifiers);
        plain.then_some(Self { code: event.code, ctrl: event.modifiers.contains(KeyModifiers::CONTROL) })
    }

    /// As people write it.
    #[must_use]
    pub fn label(&self, ascii: bool) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(letter) if self.ctrl => return format!("Ctrl-{}", letter.to_ascii_uppercase()),
            KeyCode::Char(letter) => letter.to_string(),
            KeyCode::Up if !ascii => "↑".to_owned(),
            KeyCode::Down if !ascii => "↓".to_owned(),
            KeyCode::Left if !ascii => "←".to_owned(),
            KeyCode::Right if !ascii => "→".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            other => other.to_string(),
        };
        if self.ctrl { format!("Ctrl-{name}") } else { name }
    }
}

/// What a command takes after its name in the palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// The number of a job.
    Job,
    /// The name of a filter, or nothing.
    Filter,
    /// The name of a column, or nothing.
    Column,
    /// A server, or nothing.
    Host,
    /// A text, or nothing.
    Text,
    /// A file, or nothing.
    File,
}

impl Takes {
    /// As the palette and the help show it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Job => "NUMBER",
            Self::Filter => "STATE",
            Self::Column => "COLUMN",
            Self::Host => "NAME",
            Self::Text => "TEXT",
            Self::File => "FILE",
        }
    }
}

/// A line of the table.
#[derive(Debug)]
pub struct Binding {
    /// What it does.
    pub command: Command,
    /// Where it can be done.
    pub places: &'static [Place],
    /// By which keys.
    pub keys: &'static [Key],
    /// Its name in the palette; none when it makes no sense there.
    pub word: &'static str,
    /// What may follow that name.
    pub takes: Takes,
    /// A word for the hints at the bottom; none for what every user of a terminal tries by himself.
    pub hint: &'static str,
    /// What it does, for the help.
    pub help: &'static str,
    /// Whether it changes anything on the servers.
    pub acts: bool,
}

use Place as P;

const VIEWS: &[P] = &[P::Jobs, P::Job, P::Log, P::Servers, P::Overview, P::Audit, P::Help, P::Messages];
const LISTS: &[P] = &[P::Jobs, P::Job, P::Log, P::Servers, P::Audit, P::Help, P::Messages, P::Choice];
const TEXTS: &[P] = &[P::Line, P::Palette];
const EVERYWHERE: &[P] = &[
    P::Jobs,
    P::Job,
    P::Log,
    P::Servers,
    P::Overview,
    P::Audit,
    P::Help,
    P::Messages,
    P::Question,
    P::Line,
    P::Palette,
    P::Choice,
];

const fn key(letter: char) -> Key {
    Key::letter(letter)
}

const fn ctrl(letter: char) -> Key {
    Key::ctrl(letter)
}

const fn named(code: KeyCode) -> Key {
    Key::named(code)
}

const fn bind(
    command: Command,
    places: &'static [Place],
    keys: &'static [Key],
    word: &'static str,
    hint: &'static str,
    help: &'static str,
) -> Binding {
    Binding { command, places, keys, word, takes: Takes::Nothing, hint, help, acts: false }
}

impl Binding {
    const fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    const fn acts(self) -> Self {
        Self { acts: true, ..self }
    }

    /// Its keys, as people write them.
    #[must_use]
    pub fn labels(&self, ascii: bool) -> String {
        self.keys.iter().map(|key| key.label(ascii)).collect::<Vec<_>>().join(" ")
    }
}

/// The table. Of two lines for one key at one place, there is none (a test sees to it).
#[rustfmt::skip]
pub static BINDINGS: &[Binding] = &[
    // What one does with a job.
    bind(Command::Open, &[P::Jobs], &[named(KeyCode::Enter), named(KeyCode::Right)], "open", "open", "show the job: its range, probes, history, result"),
    bind(Command::OpenLog, &[P::Jobs], &[key('l')], "log", "log", "show the output of the job, live"),
    bind(Command::OpenLog, &[P::Job], &[key('l')], "", "log", "show the output of all its probes, live"),
    bind(Command::Open, &[P::Job], &[named(KeyCode::Enter)], "", "log of probe", "show the output of the probe at the cursor"),
    bind(Command::Cancel, &[P::Jobs, P::Job, P::Log], &[key('c')], "cancel", "cancel", "stop the job, or all that are marked; asks first").acts(),
    bind(Command::Retry, &[P::Jobs, P::Job, P::Log], &[key('r')], "retry", "retry", "run the job again, or all that are marked; asks first").acts(),
    bind(Command::RetryWithRuns, &[P::Jobs, P::Job], &[key('+')], "retry-runs", "more runs", "the same for a test that fails by chance, with a number of runs for each step; asks for it").acts(),
    bind(Command::Find, &[P::Jobs], &[key('/')], "find", "find", "show only jobs of which all these words are said: number, state, result, repository, person, server, commit").takes(Takes::Text),
    bind(Command::Filter, &[P::Jobs], &[key('s')], "filter", "state", "show jobs of one state only: all, active, pending, running, completed, failed, cancelled").takes(Takes::Filter),
    bind(Command::Mark, &[P::Jobs], &[named(KeyCode::Char(' '))], "", "mark", "mark the job for an action on many, and go on"),
    bind(Command::MarkAll, &[P::Jobs], &[key('*')], "mark-all", "", "mark all jobs that are shown (Esc unmarks)"),
    bind(Command::Sort, &[P::Jobs], &[key('o')], "sort", "sort", "sort by the next column (or click its head)").takes(Takes::Column),
    bind(Command::SortRound, &[P::Jobs], &[key('O')], "reverse", "", "sort the other way round"),
    bind(Command::Follow, &[P::Jobs], &[key('f')], "follow", "follow", "keep the cursor on the newest job, or no longer"),
    bind(Command::Copy, &[P::Jobs], &[key('y')], "copy", "", "copy the culprit of the job, or its number"),
    bind(Command::NextPane, &[P::Job], &[key(']'), named(KeyCode::Right)], "", "panes", "the next pane: probes, history, result"),
    bind(Command::PreviousPane, &[P::Job], &[key('['), named(KeyCode::Left)], "", "", "the pane before"),
    bind(Command::Copy, &[P::Job], &[key('y')], "", "copy", "copy the commit at the cursor; in the result: the culprit"),
    // The log.
    bind(Command::Find, &[P::Log], &[key('/')], "", "search", "search as you type; without capitals in both cases").takes(Takes::Text),
    bind(Command::Next, &[P::Log], &[key('n')], "", "", "to the next line with what was found"),
    bind(Command::Previous, &[P::Log], &[key('N')], "", "", "to the one before"),
    bind(Command::Follow, &[P::Log], &[key('f')], "", "follow", "stay at the end as more is printed, or no longer"),
    bind(Command::Wrap, &[P::Log], &[key('w')], "wrap", "wrap", "break long lines, or not"),
    bind(Command::Times, &[P::Log], &[key('t')], "times", "times", "show when each line was printed, or not"),
    bind(Command::OnlyProbe, &[P::Log], &[key('a')], "", "one/all", "only the probe at the cursor, or all"),
    bind(Command::NextProbe, &[P::Log], &[key('}')], "", "", "to where the next probe prints"),
    bind(Command::PreviousProbe, &[P::Log], &[key('{')], "", "", "to where the probe before prints"),
    bind(Command::Select, &[P::Log], &[key('v')], "", "select", "select from here on, or nothing"),
    bind(Command::Copy, &[P::Log], &[key('y')], "", "copy", "copy the selected lines, or the one at the cursor, to the terminal's clipboard"),
    bind(Command::CopyPage, &[P::Log], &[key('Y')], "", "", "copy what is on the screen"),
    bind(Command::Save, &[P::Log], &[key('S')], "save", "save", "write the log that is shown to a new file").takes(Takes::File),
    bind(Command::Left, &[P::Log], &[key('h'), named(KeyCode::Left)], "", "", "to the left, where lines are not broken"),
    bind(Command::Right, &[P::Log], &[named(KeyCode::Right)], "", "", "to the right"),
    // The fleet.
    bind(Command::Drain, &[P::Servers], &[key('d')], "drain", "drain", "no new jobs for this server; what it runs goes on; asks first").acts(),
    bind(Command::Undrain, &[P::Servers], &[key('D')], "undrain", "undrain", "new jobs for it again; asks first").acts(),
    bind(Command::Open, &[P::Servers], &[named(KeyCode::Enter)], "", "its jobs", "show the jobs of this server"),
    bind(Command::Open, &[P::Audit], &[named(KeyCode::Enter)], "", "its job", "show the job that the entry is about"),
    // Moving.
    bind(Command::Up, LISTS, &[key('k'), named(KeyCode::Up)], "", "", "up (or turn the wheel)"),
    bind(Command::Down, LISTS, &[key('j'), named(KeyCode::Down)], "", "", "down"),
    bind(Command::PageUp, LISTS, &[named(KeyCode::PageUp), ctrl('b')], "", "", "a page up"),
    bind(Command::PageDown, LISTS, &[named(KeyCode::PageDown), ctrl('f')], "", "", "a page down"),
    bind(Command::HalfUp, LISTS, &[ctrl('u')], "", "", "half a page up"),
    bind(Command::HalfDown, LISTS, &[ctrl('d')], "", "", "half a page down"),
    bind(Command::First, LISTS, &[key('g'), named(KeyCode::Home)], "", "", "to the beginning"),
    bind(Command::Last, LISTS, &[key('G'), named(KeyCode::End)], "", "", "to the end"),
    // Views.
    bind(Command::ShowJobs, VIEWS, &[key('1')], "jobs", "", "the table of jobs"),
    bind(Command::ShowServers, VIEWS, &[key('2')], "servers", "", "the servers: who runs what, and who is heard of"),
    bind(Command::ShowOverview, VIEWS, &[key('3')], "overview", "", "the numbers: queue, results, mail to GitHub"),
    bind(Command::ShowAudit, VIEWS, &[key('4')], "audit", "", "who did what"),
    bind(Command::ShowJob, VIEWS, &[], "job", "", "one job by its number").takes(Takes::Job),
    bind(Command::NextView, VIEWS, &[named(KeyCode::Tab)], "", "view", "the next view (or click its name)"),
    bind(Command::PreviousView, VIEWS, &[named(KeyCode::BackTab)], "", "", "the view before"),
    bind(Command::Messages, VIEWS, &[key('m')], "messages", "", "what was said at the bottom, all of it"),
    bind(Command::Back, VIEWS, &[named(KeyCode::Esc)], "", "back", "back: first what is marked, found or filtered, then the view"),
    bind(Command::Leave, VIEWS, &[key('q')], "", "", "back; from the table of jobs: quit"),
    bind(Command::Help, VIEWS, &[key('?'), named(KeyCode::F(1))], "help", "help", "all keys"),
    // The program.
    bind(Command::Palette, VIEWS, &[key(':')], "", "command", "type a command"),
    bind(Command::Utc, VIEWS, &[key('u')], "utc", "", "times in UTC, or local"),
    bind(Command::Host, VIEWS, &[key('H')], "host", "", "show another server").takes(Takes::Host),
    bind(Command::Reconnect, VIEWS, &[key('R')], "reconnect", "", "connect again now, when the connection is lost"),
    bind(Command::ReconnectAsking, VIEWS, &[key('A')], "login", "", "the same, with the terminal given to ssh, so that it can ask for a password or about a host key"),
    bind(Command::Redraw, EVERYWHERE, &[ctrl('l')], "redraw", "", "draw everything anew"),
    bind(Command::Suspend, EVERYWHERE, &[ctrl('z')], "suspend", "", "back to the shell until its `fg`"),
    bind(Command::Quit, EVERYWHERE, &[ctrl('c')], "quit", "", "end the console, or leave what is typed or asked; nothing on the servers changes"),
    // What lies over a view.
    bind(Command::Yes, &[P::Question], &[key('y'), key('Y')], "", "yes", "do it"),
    bind(Command::No, &[P::Question], &[key('n'), key('N'), key('q'), named(KeyCode::Esc)], "", "no", "do nothing"),
    bind(Command::Accept, TEXTS, &[named(KeyCode::Enter)], "", "do it", "take the line"),
    bind(Command::Complete, &[P::Palette], &[named(KeyCode::Tab)], "", "complete", "complete what is typed"),
    bind(Command::Up, &[P::Palette], &[named(KeyCode::Up)], "", "", "the suggestion above"),
    bind(Command::Down, &[P::Palette], &[named(KeyCode::Down)], "", "", "the suggestion below"),
    bind(Command::No, TEXTS, &[named(KeyCode::Esc)], "", "back", "leave the line; Ctrl-U empties it"),
    bind(Command::Accept, &[P::Choice], &[named(KeyCode::Enter)], "", "switch", "take the one at the cursor"),
    bind(Command::No, &[P::Choice], &[named(KeyCode::Esc), key('q')], "", "back", "take none"),
];

/// What a key does at a place.
#[must_use]
pub fn find(place: Place, event: &KeyEvent) -> Option<&'static Binding> {
    let key = Key::of(event)?;
    BINDINGS.iter().find(|binding| binding.places.contains(&place) && binding.keys.contains(&key))
}

/// What can be done at a place and is worth a hint.
pub fn hints(place: Place, read_only: bool) -> impl Iterator<Item = &'static Binding> {
    BINDINGS
        .iter()
        .filter(move |binding| binding.places.contains(&place) && !binding.hint.is_empty())
        .filter(move |binding| !(read_only && binding.acts))
        // There is nothing behind the jobs.
        .filter(move |binding| place != P::Jobs || binding.command != Command::Back)
}

/// The binding with that word in the palette, at that place if it has several meanings. `q` is short for `quit`.
#[must_use]
pub fn by_word(word: &str, place: Place) -> Option<&'static Binding> {
    let word = match word {
        "q" | "q!" | "exit" => "quit",
        "h" => "help",
        "j" => "job",
        other => other,
    };
    let named = || BINDINGS.iter().filter(move |binding| binding.word == word && !word.is_empty());
    let command = named().next()?.command;
    let here = BINDINGS.iter().find(|binding| binding.command == command && binding.places.contains(&place));
    here.or_else(|| named().next())
}

/// A part of the help.
#[derive(Debug)]
pub struct Chapter {
    /// Its heading.
    pub title: &'static str,
    /// Its lines.
    pub lines: Vec<&'static Binding>,
}

/// The help: what can be done at `place` first.
#[must_use]
pub fn help(place: Place) -> Vec<Chapter> {
    let own = |at: Place| {
        let lines =
            BINDINGS.iter().filter(|binding| binding.places.len() < LISTS.len() && binding.places.contains(&at));
        Chapter { title: at.title(), lines: lines.collect() }
    };
    let of = |title, places: &'static [Place]| {
        let lines = BINDINGS.iter().filter(|binding| binding.places == places && !binding.keys.is_empty());
        Chapter { title, lines: lines.collect() }
    };
    let views = [P::Jobs, P::Job, P::Log, P::Servers, P::Audit];
    let mut chapters: Vec<Chapter> = views.into_iter().filter(|view| *view == place).map(own).collect();
    chapters.push(of("Moving", LISTS));
    chapters.push(of("Views and the program", VIEWS));
    chapters.push(of("Everywhere", EVERYWHERE));
    chapters.extend(views.into_iter().filter(|view| *view != place).map(own));
    chapters.extend([P::Question, P::Line, P::Palette].map(own));
    chapters.push(Chapter {
        title: "Commands after :",
        lines: BINDINGS.iter().filter(|binding| !binding.word.is_empty()).collect(),
    });
    chapters
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn no_key_has_two_meanings_at_one_place() {
        let mut seen: HashMap<(Place, Key), Command> = HashMap::new();
        for binding in BINDINGS {
            for place in binding.places {
                for key in binding.keys {
                    let other = seen.insert((*place, *key), binding.command);
                    assert_eq!(other, None, "{} at {place:?}", key.label(true));
                }
            }
        }
    }

    #[test]
    fn every_line_is_of_use() {
        let mut words = HashSet::new();
        for binding in BINDINGS {
            assert!(!binding.help.is_empty() && !binding.places.is_empty(), "{:?}", binding.command);
            assert!(!binding.keys.is_empty() || !binding.word.is_empty(), "{:?}", binding.command);
            assert!(binding.word.is_empty() || words.insert(binding.word), "{} twice", binding.word);
        }
    }

    #[test]
    fn every_view_can_be_left_and_explains_itself() {
        for place in VIEWS {
            let can = |command| BINDINGS.iter().any(|b| b.places.contains(place) && b.command == command);
            assert!(can(Command::Back) && can(Command::Help) && can(Command::Quit) && can(Command::Palette));
            assert!(hints(*place, false).count() > 0);
        }
        assert!(hints(Place::Jobs, true).all(|binding| !binding.acts));
    }

    #[test]
    fn the_help_has_every_line() {
        for place in VIEWS {
            let lines: Vec<*const Binding> =
                help(*place).iter().flat_map(|chapter| chapter.lines.iter().map(|line| &raw const **line)).collect();
            for binding in BINDINGS {
                let told = lines.contains(&&raw const *binding) || binding.places == [Place::Choice];
                assert!(told, "{:?} at {place:?}", binding.help);
            }
        }
    }

    #[test]
    fn a_word_means_what_it_means_here() {
        assert_eq!(by_word("q", Place::Log).unwrap().command, Command::Quit);
        let find = by_word("find", Place::Log).unwrap();
        assert!(find.places.contains(&Place::Log));
        assert!(by_word("", Place::Jobs).is_none() && by_word("nothing", Place::Jobs).is_none());
    }
}
