//! A console with a fleet behind it, and a hand at its keys.

use crate::{
    message::{Effect, Link, LogOf, Message},
    samples,
    state::{Options, State},
    theme::Colours,
};
use bisect_shared::{
    JobId,
    admin::{JobDetail, JobPage, JobView},
};
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

pub fn one_hour_east(_: DateTime<Utc>) -> FixedOffset {
    FixedOffset::east_opt(3600).unwrap()
}

pub fn options(size: (u16, u16)) -> Options {
    Options {
        colours: Colours::Many,
        host: "bisect.example.com".to_owned(),
        hosts: vec!["bisect.example.com".to_owned(), "staging".to_owned()],
        size,
        zone: one_hour_east,
        ..Options::default()
    }
}

/// A console that is connected and knows nothing yet.
pub fn connected(options: Options) -> State {
    let mut state = State::new(options, samples::now());
    state.update(Message::Link(Link::Up(samples::hello())));
    state
}

pub fn tell_jobs(state: &mut State, jobs: Vec<JobView>) {
    state.update(Message::Jobs { page: JobPage { jobs, next: None }, first: true, last: true });
}

/// One that knows of all there is.
pub fn full(size: (u16, u16)) -> State {
    full_with(options(size))
}

pub fn full_with(options: Options) -> State {
    let mut state = connected(options);
    tell_jobs(&mut state, samples::jobs());
    state.update(Message::Instances(samples::instances()));
    state.update(Message::Overview(samples::overview()));
    state.update(Message::Audit(samples::audit(), false));
    state
}

pub fn key(state: &mut State, code: KeyCode) -> Vec<Effect> {
    state.update(Message::Terminal(Input::Key(KeyEvent::new(code, KeyModifiers::NONE))))
}

/// Letters as they are, `\n` for Enter, `\x1b` for Esc, `\t` for Tab, `\x7f` for Backspace.
pub fn press(state: &mut State, keys: &str) -> Vec<Effect> {
    let code = |letter| match letter {
        '\n' => KeyCode::Enter,
        '\x1b' => KeyCode::Esc,
        '\t' => KeyCode::Tab,
        '\x7f' => KeyCode::Backspace,
        letter => KeyCode::Char(letter),
    };
    keys.chars().flat_map(|letter| key(state, code(letter))).collect()
}

pub fn lose(state: &mut State) {
    state.update(Message::Link(Link::Down {
        why: "ssh: Connection to bisect.example.com closed by remote host.".to_owned(),
        again_at: Some(samples::now() + TimeDelta::seconds(8)),
    }));
}

pub fn tell_detail(state: &mut State, detail: JobDetail) {
    state.update(Message::Detail(detail.job.id, Some(Box::new(detail))));
}

/// The view of the job that runs.
pub fn in_job(size: (u16, u16)) -> State {
    let mut state = full(size);
    press(&mut state, ":job 24\n");
    tell_detail(&mut state, samples::detail());
    state
}

pub fn in_log(size: (u16, u16)) -> State {
    let mut state = in_job(size);
    press(&mut state, "l");
    state.update(Message::Log(LogOf { job: JobId(24), probe: None }, samples::log()));
    state
}

pub fn ctrl(state: &mut State, letter: char) -> Vec<Effect> {
    state.update(Message::Terminal(Input::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL))))
}

pub fn mouse(state: &mut State, kind: MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
    state.update(Message::Terminal(Input::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })))
}

pub fn click(state: &mut State, column: u16, row: u16) -> Vec<Effect> {
    mouse(state, MouseEventKind::Down(MouseButton::Left), column, row)
}
