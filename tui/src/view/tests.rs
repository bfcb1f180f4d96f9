//! Every view as it is seen, at both sizes, in each of its states.

use crate::{
    message::{Action, Link, LogOf, Message},
    samples,
    state::{Options, State},
    testing::{connected, full, full_with, in_job, in_log, key, lose, options, press, tell_detail, tell_jobs},
    theme::Colours,
};
use bisect_shared::{
    JobId, JobStatus, ProbeId,
    admin::{AuditPage, Event, InstanceList, JobDetail, JobView, Outcome, Overview, Strip},
};
use crossterm::event::KeyCode;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

fn drawn(state: &State) -> Buffer {
    let (width, height) = state.options.size;
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| super::draw(frame, state)).unwrap();
    terminal.backend().buffer().clone()
}

/// What is read on the screen. The second half of a wide letter is no cell of its own.
fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for row in buffer.content.chunks(buffer.area.width.into()) {
        let (mut line, mut hidden) = (String::new(), 0);
        for cell in row {
            if hidden == 0 {
                line.push_str(cell.symbol());
                hidden = crate::text::width(cell.symbol()).max(1);
            }
            hidden -= 1;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn check(name: &str, make: impl Fn((u16, u16)) -> State) {
    for size in SIZES {
        let shown = text(&drawn(&make(size)));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), shown);
        });
    }
}

#[test]
fn jobs() {
    check("jobs_loading", |size| connected(options(size)));
    check("jobs_empty", |size| {
        let mut state = connected(options(size));
        tell_jobs(&mut state, Vec::new());
        state
    });
    check("jobs_full", full);
    check("jobs_many", |size| {
        let mut state = full(size);
        tell_jobs(&mut state, samples::many_jobs(10_000));
        press(&mut state, "jjj   ");
        state
    });
    check("jobs_held_up", |size| {
        let mut state = full(size);
        let on = |number, id, probes_running| JobView {
            worker: Some(samples::worker(number)),
            probes_running,
            ..samples::job(id)
        };
        tell_jobs(&mut state, vec![on(4, 24, 2), on(3, 23, 0), on(1, 22, 0), on(1, 21, 8)]);
        state
    });
    check("jobs_none_found", |size| {
        let mut state = full(size);
        press(&mut state, "ss/no such\n");
        state
    });
    check("jobs_error", |size| {
        let mut state = full(size);
        press(&mut state, ":job 18\n\x1b");
        state.update(Message::Said(Err("the jobs and servers cannot be read: the daemon answered 503".to_owned())));
        state
    });
    check("jobs_disconnected", |size| {
        let mut state = full(size);
        lose(&mut state);
        state
    });
    check("jobs_never_connected", |size| {
        let mut state = State::new(options(size), samples::now());
        state.update(Message::Link(Link::Down {
            why: "bisect.example.com: no key was accepted. Is the agent running? `ssh-add -l` lists its keys; `ssh \
                  bisect.example.com true` should work without a question before this does. The last line of ssh was: \
                  Permission denied (publickey,keyboard-interactive)."
                .to_owned(),
            again_at: None,
        }));
        state
    });
    check("jobs_database_away", |size| {
        let mut state = full(size);
        state.update(Message::Event(Event::DatabaseAway { away: true }));
        state
    });
    check("jobs_read_only_ascii", |size| {
        let mut state = full_with(Options { read_only: true, ascii: true, colours: Colours::None, ..options(size) });
        press(&mut state, "c");
        state
    });
}

#[test]
fn job() {
    check("job_loading", |size| {
        let mut state = full(size);
        press(&mut state, ":24\n");
        state
    });
    check("job_running", in_job);
    check("job_waiting", |size| {
        let mut state = full(size);
        press(&mut state, "\n");
        let job = samples::jobs().remove(0);
        let nothing = JobDetail { job, probes: Vec::new(), strip: None, image: None, ..samples::detail() };
        tell_detail(&mut state, nothing);
        press(&mut state, "]]");
        state
    });
    check("job_no_slot", |size| {
        let mut state = full(size);
        let job = JobView { probes_running: 0, ..samples::job(24) };
        let neighbour = JobView { probes_running: 8, ..samples::job(23) };
        tell_jobs(&mut state, vec![job.clone(), neighbour]);
        press(&mut state, ":job 24\n");
        tell_detail(&mut state, JobDetail { job, ..samples::detail() });
        state
    });
    check("job_done", |size| {
        let mut state = full(size);
        press(&mut state, ":job 21\n");
        tell_detail(&mut state, samples::detail_done());
        state
    });
    check("job_by_chance", |size| {
        let mut state = full(size);
        press(&mut state, "\n");
        let job = samples::jobs().remove(0);
        let odds = vec![0, 0, 0, 3, 40, 610, 240, 80, 20, 7, 0, 0];
        let strip = samples::detail().strip.map(|strip| Strip { odds, ..strip });
        tell_detail(&mut state, JobDetail { job, strip, ..samples::detail() });
        state
    });
    check("job_missing", |size| {
        let mut state = full(size);
        press(&mut state, ":job 99999\n");
        state.update(Message::Detail(JobId(99_999), None));
        state
    });
    check("job_history_disconnected", |size| {
        let mut state = in_job(size);
        press(&mut state, "]");
        lose(&mut state);
        state
    });
    check("job_ascii", |size| {
        let mut state = full_with(Options { ascii: true, ..options(size) });
        press(&mut state, ":job 24\n");
        tell_detail(&mut state, samples::detail());
        state
    });
}

#[test]
fn log() {
    check("log_loading", |size| {
        let mut state = in_job(size);
        press(&mut state, "l");
        state
    });
    check("log_full", in_log);
    check("log_search_times", |size| {
        let mut state = in_log(size);
        press(&mut state, "t/test\nn");
        state
    });
    check("log_one_probe_selected", |size| {
        let mut state = in_log(size);
        press(&mut state, "gavjjj");
        state
    });
    check("log_long_lines_wrapped", |size| {
        let mut state = in_log(size);
        let long = format!("\n{}\n", "0123456789".repeat(40));
        state.update(Message::Log(
            LogOf { job: JobId(24), probe: None },
            vec![samples::log_piece(1009, 1, 0, long.as_bytes())],
        ));
        press(&mut state, "wk");
        state
    });
    check("log_empty_ended", |size| {
        let mut state = in_job(size);
        press(&mut state, "l");
        state.update(Message::LogEnded(LogOf { job: JobId(24), probe: None }));
        state
    });
    check("log_disconnected", |size| {
        let mut state = in_log(size);
        lose(&mut state);
        state
    });
}

#[test]
fn servers_overview_audit() {
    check("servers_full", |size| {
        let mut state = full(size);
        press(&mut state, "2j");
        state
    });
    check("servers_loading", |size| {
        let mut state = connected(options(size));
        press(&mut state, "2");
        state
    });
    check("servers_empty", |size| {
        let mut state = connected(options(size));
        state.update(Message::Instances(InstanceList::default()));
        press(&mut state, "2");
        state
    });
    check("overview_full", |size| {
        let mut state = full(size);
        press(&mut state, "3");
        state
    });
    check("overview_nothing", |size| {
        let mut state = full(size);
        state.update(Message::Overview(Overview::default()));
        press(&mut state, "3");
        lose(&mut state);
        state
    });
    check("overview_loading", |size| {
        let mut state = connected(options(size));
        press(&mut state, "3");
        state
    });
    check("audit_full", |size| {
        let mut state = full(size);
        press(&mut state, "4");
        state
    });
    check("audit_empty", |size| {
        let mut state = connected(options(size));
        state.update(Message::Audit(AuditPage::default(), false));
        press(&mut state, "4");
        state
    });
    check("audit_never_connected", |size| {
        let mut state = State::new(options(size), samples::now());
        press(&mut state, "4");
        state
    });
}

#[test]
fn over_a_view() {
    check("help", |size| {
        let mut state = full(size);
        press(&mut state, "?");
        state
    });
    check("help_of_the_log", |size| {
        let mut state = in_log(size);
        press(&mut state, "?");
        state
    });
    check("palette", |size| {
        let mut state = full(size);
        press(&mut state, ":");
        key(&mut state, KeyCode::Down);
        state
    });
    check("palette_argument", |size| {
        let mut state = full(size);
        press(&mut state, ":filter r");
        state
    });
    check("cancel_question", |size| {
        let mut state = full(size);
        press(&mut state, "jc");
        state
    });
    check("cancel_many_question", |size| {
        let mut state = full(size);
        press(&mut state, "*c");
        state
    });
    check("retry_question", |size| {
        let mut state = full(size);
        press(&mut state, ":job 20\n\x1br");
        state
    });
    check("runs_prompt", |size| {
        let mut state = full(size);
        press(&mut state, ":job 20\n\x1b+");
        state
    });
    check("drain_question", |size| {
        let mut state = full(size);
        press(&mut state, "2d");
        state
    });
    check("servers_choice", |size| {
        let mut state = full(size);
        press(&mut state, "H");
        state
    });
    check("save_prompt", |size| {
        let mut state = in_log(size);
        press(&mut state, "S");
        state
    });
    check("messages", |size| {
        let mut state = full(size);
        let actions = [JobId(24), JobId(23)].map(Action::Cancel);
        let stops = Outcome { message: "job 24 is being stopped".to_owned(), changed: true, job: None };
        press(&mut state, "j  cy");
        state.update(Message::Done(actions[0].clone(), Ok(stops)));
        state.update(Message::Done(actions[1].clone(), Err("there is no job 23".to_owned())));
        press(&mut state, "m");
        state
    });
    check("outcome", |size| {
        let mut state = full(size);
        let told = Outcome {
            message: "job 26 repeats job 20: place 1 of 2 in its queue".to_owned(),
            changed: true,
            job: Some(JobId(26)),
        };
        state.update(Message::Done(Action::Retry(JobId(20), None), Ok(told)));
        state
    });
}

#[test]
fn a_small_terminal_is_told_so() {
    let shown = text(&drawn(&full((60, 20))));
    assert!(shown.contains("needs 80 columns and 24 rows"), "{shown}");
    drawn(&full((1, 1)));
}

/// What anybody may name a repository, write into a subject or print.
const HOSTILE: &str = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\u{9b}5m\u{202e}evil\u{200b}\r\nnext\u{85}line\0\x7f日本";

#[test]
fn what_others_write_changes_nothing_outside_its_place() {
    for ascii in [false, true] {
        for size in SIZES {
            let calm = hostile_state(size, ascii, "calm");
            for (view, (calm, hostile)) in calm.iter().zip(&hostile_state(size, ascii, HOSTILE)).enumerate() {
                for cell in &hostile.content {
                    assert!(!cell.symbol().chars().any(crate::text::is_hidden), "view {view}: {:?}", cell.symbol());
                    assert!(!ascii || cell.symbol().is_ascii(), "view {view}: {:?}", cell.symbol());
                }
                for y in [0, size.1 - 1] {
                    let row = |buffer: &Buffer| text(buffer).lines().nth(y.into()).unwrap_or_default().to_owned();
                    assert_eq!(row(calm), row(hostile), "view {view}");
                }
            }
        }
    }
}

fn hostile_state(size: (u16, u16), ascii: bool, text: &str) -> Vec<Buffer> {
    let mut state = full_with(Options { ascii, ..options(size) });
    let job = JobView {
        repository: text.to_owned(),
        requested_by: Some(text.to_owned()),
        error: Some(text.to_owned()),
        cancel_requested_by: Some(text.to_owned()),
        worker: Some(bisect_shared::InstanceId(text.to_owned())),
        seq: 99,
        ..samples::job(24)
    };
    state.update(Message::Event(Event::Job(job.clone())));
    let mut instances = samples::instances();
    instances.instances[0].host = text.to_owned();
    instances.instances[0].drain_requested_by = Some(text.to_owned());
    instances.instances[0].id.0 = text.to_owned();
    state.update(Message::Instances(instances));
    let mut audit = samples::audit();
    audit.entries[0].actor = text.to_owned();
    audit.entries[0].detail = text.to_owned();
    state.update(Message::Audit(audit, false));
    let mut shown = vec![drawn(&state)];
    for tab in ["2", "3", "4"] {
        press(&mut state, tab);
        shown.push(drawn(&state));
    }
    press(&mut state, ":24\n");
    let mut detail =
        JobDetail { job, command: vec![text.to_owned()], report: Some(text.to_owned()), ..samples::detail() };
    detail.setup = Some(text.to_owned());
    detail.links = vec![text.to_owned()];
    detail.options = vec![text.to_owned()];
    for probe in &mut detail.probes {
        probe.subject = Some(text.to_owned());
    }
    for entry in &mut detail.history {
        (entry.kind, entry.detail) = (text.to_owned(), text.to_owned());
    }
    tell_detail(&mut state, detail);
    shown.push(drawn(&state));
    press(&mut state, "]");
    shown.push(drawn(&state));
    press(&mut state, "]");
    shown.push(drawn(&state));
    press(&mut state, "l");
    let printed = format!("{text}{text}\n{text}");
    let of = LogOf { job: JobId(24), probe: None };
    state.update(Message::Log(of, vec![samples::log_piece(1001, 0, 0, printed.as_bytes())]));
    shown.push(drawn(&state));
    press(&mut state, "w/evil\n");
    shown.push(drawn(&state));
    shown
}

#[test]
fn without_colours_nothing_is_coloured_not_even_the_log() {
    for make in [in_log, in_job, full] {
        let mut state = make((140, 40));
        state.theme = crate::theme::Theme::new(Colours::None, false);
        let buffer = drawn(&state);
        assert!(
            buffer
                .content
                .iter()
                .all(|cell| { (cell.fg, cell.bg) == (ratatui::style::Color::Reset, ratatui::style::Color::Reset) })
        );
    }
}

#[test]
fn the_log_is_in_the_colours_of_the_program() {
    let state = in_log((80, 24));
    let buffer = drawn(&state);
    let shown = text(&buffer);
    let (y, line) = shown.lines().enumerate().find(|(_, line)| line.contains("E       assert")).unwrap();
    let x = line.chars().take_while(|letter| *letter != 'E').count();
    assert_eq!(buffer[(x as u16, y as u16)].fg, ratatui::style::Color::Red);
    assert_eq!(state.log_cursors(LogOf { job: JobId(24), probe: None }).len(), 3);
    assert_eq!(state.label(ProbeId(1007)), format!("#8 {}", &samples::sha(7).short()[..7]));
    assert!(samples::jobs().iter().any(|job| job.status == JobStatus::Failed));
}
