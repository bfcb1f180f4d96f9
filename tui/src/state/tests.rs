//! Keys and clicks in, states and effects out.

use super::*;
use crate::{
    message::Action,
    samples,
    testing::{click, connected, ctrl, full, full_with, in_job, in_log, key, lose, mouse, options, press, tell_jobs},
};
use bisect_shared::admin::{AuditPage, Event, InstanceList, JobPage, JobView, Outcome};
use chrono::TimeDelta;
use crossterm::event::{Event as Input, KeyCode, MouseEventKind};

const SIZE: (u16, u16) = (80, 24);

fn chosen(state: &State) -> i64 {
    state.jobs.chosen().map_or(0, |job| job.id.0)
}

fn said(state: &State) -> String {
    state.notices.current(state.clock.here()).map(|notice| notice.text.clone()).unwrap_or_default()
}

#[test]
fn vim_and_arrow_keys_move() {
    let mut state = full(SIZE);
    tell_jobs(&mut state, samples::many_jobs(100));
    press(&mut state, "jj");
    key(&mut state, KeyCode::Down);
    assert_eq!(chosen(&state), 97);
    press(&mut state, "k");
    key(&mut state, KeyCode::Up);
    assert_eq!(chosen(&state), 99);
    key(&mut state, KeyCode::PageDown);
    assert_eq!(chosen(&state), 82);
    press(&mut state, "G");
    assert_eq!(chosen(&state), 1);
    key(&mut state, KeyCode::Home);
    assert_eq!(chosen(&state), 100);
    ctrl(&mut state, 'd');
    ctrl(&mut state, 'u');
    assert_eq!(chosen(&state), 100);
}

#[test]
fn back_goes_one_step_at_a_time_and_q_ends_at_the_jobs() {
    let mut state = in_log(SIZE);
    press(&mut state, "/test\nv");
    assert_eq!(state.views(), [Place::Jobs, Place::Job, Place::Log]);
    press(&mut state, "\x1b");
    assert!(state.log.as_ref().unwrap().selection().is_none() && state.log.as_ref().unwrap().search().is_some());
    press(&mut state, "\x1b");
    assert!(state.log.as_ref().unwrap().search().is_none());
    press(&mut state, "\x1b");
    assert_eq!((state.view(), state.log.is_none()), (Place::Job, true));
    press(&mut state, "?");
    assert_eq!(state.view(), Place::Help);
    press(&mut state, "qq");
    assert_eq!((state.view(), state.job.is_none()), (Place::Jobs, true));
    press(&mut state, "\x1b\x1b");
    assert_eq!(state.view(), Place::Jobs, "Esc never ends the console");
    press(&mut state, "/ada\n ");
    assert_eq!(press(&mut state, "q"), [], "first what is marked");
    assert_eq!(press(&mut state, "q"), [], "then what is found");
    assert_eq!(press(&mut state, "q"), [Effect::Quit]);
    assert_eq!(ctrl(&mut state, 'c'), [Effect::Quit]);
}

#[test]
fn views_say_what_they_need() {
    let mut state = full(SIZE);
    assert_eq!(state.wanted(), Wanted::default());
    press(&mut state, "3");
    assert!(state.wanted().overview);
    press(&mut state, "\t");
    assert!(state.wanted().audit && !state.wanted().overview);
    press(&mut state, ":24\n");
    assert_eq!(state.wanted(), Wanted { job: Some(JobId(24)), animate: true, ..Wanted::default() });
    press(&mut state, "l");
    let log = LogOf { job: JobId(24), probe: None };
    assert_eq!((state.wanted().job, state.wanted().log), (Some(JobId(24)), Some(log)));
    press(&mut state, "?");
    assert_eq!(state.wanted().log, None, "nothing is fetched for what is not seen");
    press(&mut state, "\x1b");
    assert_eq!(state.wanted().log, Some(log));
    state.update(Message::Log(log, samples::log()));
    assert!(!state.wanted().animate);
    assert_eq!(state.log_cursors(log).len(), 3, "and goes on where it was");
    assert_eq!(state.log_cursors(LogOf { job: JobId(1), probe: None }), []);
}

#[test]
fn the_log_of_one_probe() {
    let mut state = in_job(SIZE);
    press(&mut state, "kk\n");
    let one = LogOf { job: JobId(24), probe: Some(ProbeId(1007)) };
    assert_eq!(state.wanted().log, Some(one));
    press(&mut state, "a");
    assert_eq!(state.wanted().log, Some(LogOf { probe: None, ..one }), "all of them have to be asked for");
    press(&mut state, "q");
    assert_eq!(state.view(), Place::Job);
}

#[test]
fn an_action_is_asked_about_first() {
    let mut state = full(SIZE);
    press(&mut state, "j");
    assert_eq!(press(&mut state, "cn"), []);
    assert_eq!(said(&state), "nothing was done");
    assert_eq!(press(&mut state, "cy"), [Effect::Act(Action::Cancel(JobId(24)))]);
    assert_eq!(said(&state), "Cancel job 24: asked, no answer yet");
    let outcome = Outcome { message: "job 24 is being stopped".to_owned(), changed: true, job: None };
    state.update(Message::Done(Action::Cancel(JobId(24)), Ok(outcome)));
    assert_eq!(said(&state), "job 24 is being stopped");
    press(&mut state, "Gc");
    assert_eq!((said(&state).as_str(), state.place()), ("job 16 has ended already", Place::Jobs));
}

#[test]
fn many_jobs_at_once_leave_out_those_that_have_ended() {
    let mut state = full(SIZE);
    press(&mut state, "*c");
    let Some(Modal::Question(asked)) = &state.modal else { panic!("a question") };
    assert!(question(&state, asked).iter().any(|line| line == "6 marked jobs are left out: each has ended already."));
    let effects = press(&mut state, "y");
    let ids = [22, 23, 24, 25].map(|id| Effect::Act(Action::Cancel(JobId(id))));
    assert_eq!(effects, ids);
    assert!(state.jobs.marked().is_empty());
}

#[test]
fn a_job_that_has_ended_is_run_again() {
    let mut state = full(SIZE);
    press(&mut state, ":20\n\x1b");
    assert_eq!(chosen(&state), 20);
    assert_eq!(press(&mut state, "ry"), [Effect::Act(Action::Retry(JobId(20), None))]);
    let refused = "the installation is suspended";
    state.update(Message::Done(Action::Retry(JobId(20), None), Err(refused.to_owned())));
    assert_eq!(said(&state), format!("Retry job 20: {refused}"));
    press(&mut state, "ggr");
    assert_eq!(said(&state), "job 25 has not ended yet; cancel it first");
}

#[test]
fn a_retry_may_be_given_more_runs() {
    let mut state = full(SIZE);
    press(&mut state, ":20\n\x1b+");
    assert!(matches!(&state.modal, Some(Modal::Line(line)) if line.input.value() == "20"), "a number that helps");
    assert_eq!(press(&mut state, "\x7f\x7f50\ny"), [Effect::Act(Action::Retry(JobId(20), Some(50)))]);
    for wrong in ["x", "1", "101"] {
        assert_eq!(press(&mut state, &format!("+\x7f\x7f{wrong}\n")), []);
        assert!(said(&state).contains(&format!("`{wrong}` is no number of runs")), "{}", said(&state));
    }
    press(&mut state, "gg+");
    assert_eq!(said(&state), "job 25 has not ended yet; cancel it first");
}

#[test]
fn ctrl_c_leaves_a_question_and_a_line_before_it_ends_the_console() {
    let mut state = full(SIZE);
    for keys in ["jc", "/x", ":", "H"] {
        press(&mut state, keys);
        assert!(state.modal.is_some(), "{keys}");
        assert_eq!(ctrl(&mut state, 'c'), []);
        assert!(state.modal.is_none(), "{keys}");
    }
    assert_eq!(ctrl(&mut state, 'c'), [Effect::Quit]);
}

#[test]
fn servers_are_drained_and_given_jobs_again() {
    let mut state = full(SIZE);
    assert_eq!(press(&mut state, "2dy"), [Effect::Act(Action::Drain(samples::worker(1)))]);
    press(&mut state, "jd");
    assert!(said(&state).contains("takes no new jobs already"));
    assert_eq!(press(&mut state, "Dy"), [Effect::Act(Action::Undrain(samples::worker(2)))]);
    press(&mut state, "\n");
    assert_eq!((state.view(), state.jobs.shown().len()), (Place::Jobs, 1), "its jobs");
}

#[test]
fn a_read_only_console_does_nothing() {
    let mut state = full_with(Options { read_only: true, ..options(SIZE) });
    for keys in ["c", "r", ":cancel\n", "2d", "D", ":drain\n"] {
        assert_eq!(press(&mut state, keys), []);
        assert!(state.modal.is_none() && said(&state).contains("read-only"), "{keys}");
    }
}

#[test]
fn nothing_is_sent_without_a_connection() {
    let mut state = full(SIZE);
    lose(&mut state);
    assert_eq!(press(&mut state, "cy"), []);
    assert!(said(&state).contains("not connected"));
    assert_eq!(press(&mut state, "R"), [Effect::Reconnect(false)]);
    assert_eq!(press(&mut state, "A"), [Effect::Reconnect(true)]);
    assert!(state.banner()[0].contains("closed by remote host"));
    assert!(state.banner().last().unwrap().contains("Next try in 8s"));
    state.update(Message::Tick { now: samples::now() + TimeDelta::seconds(5) });
    assert!(state.banner().last().unwrap().contains("Next try in 3s"));
    assert!(state.banner().last().unwrap().ends_with("shown as of 11:30:00"));
    state.update(Message::Link(Link::Up(samples::hello())));
    assert_eq!((state.banner_height(), press(&mut state, "R")), (0, vec![]));
}

#[test]
fn the_palette_completes_and_understands() {
    let mut state = full(SIZE);
    press(&mut state, ":filt\tru\t\n");
    assert_eq!(state.jobs.filter(), Filter::Only(bisect_shared::JobStatus::Running));
    press(&mut state, ":sort repository\n");
    assert_eq!(state.jobs.sort().column, Column::Repository);
    press(&mut state, ":filter\n");
    assert_eq!(state.jobs.filter(), Filter::Only(bisect_shared::JobStatus::Completed), "without one: the next");
    press(&mut state, ":find demo ada\n");
    assert_eq!(state.jobs.text(), "demo ada");
    assert_eq!(press(&mut state, ":q\n"), [Effect::Quit]);
    press(&mut state, ":utc\n");
    assert!(state.clock.utc);
    press(&mut state, ":over\n");
    assert_eq!(state.view(), Place::Overview, "a beginning is enough");
    press(&mut state, ":nonsense\n");
    assert!(said(&state).contains("no command `nonsense`"));
    press(&mut state, ":wrap\n");
    assert!(said(&state).contains("for another view: Log"));
    press(&mut state, ":utc now\n");
    assert!(said(&state).contains("takes nothing"));
    press(&mut state, ":");
    key(&mut state, KeyCode::Down);
    key(&mut state, KeyCode::Down);
    key(&mut state, KeyCode::Up);
    press(&mut state, "\x1b");
    assert!(state.modal.is_none());
}

#[test]
fn another_server_begins_with_nothing() {
    let mut state = in_log(SIZE);
    let effects = press(&mut state, ":host staging\n");
    assert_eq!(effects, [Effect::Switch("staging".to_owned())]);
    assert_eq!(state.wanted(), Wanted::default(), "nothing of the old one is asked of the new one");
    assert!(!state.jobs.is_empty(), "what is known stays until the other one is heard of");
    state.update(Message::Link(Link::Connecting { attempt: 1 }));
    assert!(state.jobs.is_empty() && state.connection.hello.is_none());
    assert_eq!(state.options.host, "staging");
    let mut state = full(SIZE);
    press(&mut state, "Hj\n");
    state.update(Message::Said(Err("`staging` is no host".to_owned())));
    state.update(Message::Link(Link::Up(samples::hello())));
    assert!(!state.jobs.is_empty() && state.options.host == "bisect.example.com", "it was refused");
}

#[test]
fn what_is_typed_finds_at_once_and_can_be_given_up() {
    let mut state = full(SIZE);
    press(&mut state, "/linus");
    assert_eq!(state.jobs.shown(), [JobId(23)]);
    press(&mut state, "\x1b");
    assert_eq!(state.jobs.shown().len(), 10);
    press(&mut state, "/");
    state.update(Message::Terminal(Input::Paste("linus\x1b[31m\n".to_owned())));
    assert_eq!(state.jobs.text(), "linus\u{fffd}[31m", "nothing that is pasted is obeyed");
    press(&mut state, "\x1b");
    ctrl(&mut state, 'l');
    assert_eq!(ctrl(&mut state, 'z'), [Effect::Suspend]);
}

#[test]
fn logs_are_saved_and_copied() {
    let mut state = in_log(SIZE);
    assert_eq!(press(&mut state, "S\n"), [Effect::SaveLog("job-24.log".into())]);
    assert_eq!(press(&mut state, ":save /tmp/x y.log\n"), [Effect::SaveLog("/tmp/x y.log".into())]);
    assert_eq!(press(&mut state, "gy"), [Effect::Copy("==== test session starts ====\n".to_owned())]);
    assert_eq!(
        press(&mut state, "vjy"),
        [Effect::Copy("==== test session starts ====\ncollected 14 items\n".to_owned())]
    );
    let effects = press(&mut state, "\x1bY");
    let [Effect::Copy(page)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(page.lines().count(), 19);
    let mut out = Vec::new();
    state.log_text_to(&mut out).unwrap();
    let written = String::from_utf8(out).unwrap();
    assert!(
        written.starts_with(&format!("{} ==== test session", state.label(ProbeId(1007)))) && !written.contains('\x1b')
    );
}

#[test]
fn the_mouse_takes_rows_tabs_and_heads() {
    let mut state = full(SIZE);
    click(&mut state, 20, 5);
    assert_eq!(chosen(&state), 23);
    click(&mut state, 20, 5);
    assert_eq!(state.view(), Place::Job, "a click on the row that is chosen opens it");
    click(&mut state, 14, 0);
    assert_eq!(state.view(), Place::Servers);
    click(&mut state, 3, 0);
    click(&mut state, 25, 2);
    assert_eq!(state.jobs.sort().column, Column::Repository);
    click(&mut state, 79, 23);
    click(&mut state, 500, 500);
    tell_jobs(&mut state, samples::many_jobs(100));
    let top = state.jobs.list().top;
    mouse(&mut state, MouseEventKind::ScrollDown, 20, 10);
    assert_eq!(state.jobs.list().top, top + 3);
    let mut log = in_log(SIZE);
    mouse(&mut log, MouseEventKind::ScrollUp, 20, 10);
    click(&mut log, 30, 4);
    assert_eq!(log.log.as_ref().unwrap().cursor(), 2);
    let mut job = in_job(SIZE);
    click(&mut job, 11, 12);
    assert_eq!(job.job.as_ref().unwrap().pane, Pane::History);
}

#[test]
fn another_size_is_taken_at_once() {
    let mut state = in_log((140, 40));
    for size in [(80, 24), (20, 5), (200, 60)] {
        state.update(Message::Terminal(Input::Resize(size.0, size.1)));
        assert_eq!(state.options.size, size);
        press(&mut state, "kG");
    }
}

#[test]
fn older_entries_of_the_audit_are_asked_for() {
    let mut state = full(SIZE);
    state.update(Message::Audit(AuditPage { next: Some(87), ..samples::audit() }, false));
    let mut fresh = connected(options(SIZE));
    press(&mut fresh, "4");
    let effects = fresh.update(Message::Audit(AuditPage { next: Some(87), ..samples::audit() }, false));
    assert_eq!(effects, [Effect::OlderAudit(87)], "the end is seen");
    assert_eq!(press(&mut fresh, "j"), [], "asked once");
    press(&mut fresh, "gg\n");
    assert_eq!(fresh.view(), Place::Job);
}

#[test]
fn what_the_daemon_says_is_told() {
    let mut state = full(SIZE);
    state.update(Message::Event(Event::DatabaseAway { away: true }));
    assert!(state.banner()[0].contains("cannot reach its database"));
    state.update(Message::Event(Event::DatabaseAway { away: false }));
    assert_eq!((said(&state).as_str(), state.banner_height()), ("the database is back", 0));
    state.update(Message::Event(Event::Stopping));
    assert!(said(&state).contains("connects again by itself"));
    state.update(Message::Event(Event::Resync));
    state.update(Message::Jobs { page: JobPage::default(), first: true, last: true });
    assert!(state.jobs.is_empty());
    state.update(Message::Instances(InstanceList::default()));
    state.update(Message::Event(Event::Unknown));
    assert!(state.servers.all().is_empty());
}

#[test]
fn a_stale_look_brings_no_job_back() {
    let mut state = in_job(SIZE);
    state.update(Message::Event(Event::JobGone { id: JobId(24) }));
    state.update(Message::Detail(JobId(24), Some(Box::new(samples::detail()))));
    assert!(state.jobs.get(JobId(24)).is_none());
    assert_eq!(state.view(), Place::Job, "what is looked at stays on the screen");
}

#[test]
fn a_running_job_that_its_server_holds_up_says_by_what() {
    let mut state = full(SIZE);
    let on = |number, id, probes_running| JobView {
        worker: Some(samples::worker(number)),
        probes_running,
        ..samples::job(id)
    };
    let ended = JobView { status: JobStatus::Completed, ..on(1, 6, 8) };
    tell_jobs(&mut state, vec![ended, on(4, 5, 2), on(3, 4, 0), on(2, 3, 8), on(1, 2, 7), on(1, 1, 0)]);
    let held_up = |state: &State, id| state.held_up(state.jobs.get(JobId(id)).unwrap());
    assert_eq!(held_up(&state, 1), None, "one of its server's eight slots is free");
    assert_eq!(held_up(&state, 2), None, "it has slots");
    assert_eq!(held_up(&state, 4), Some(HeldUp::NoDocker));
    assert_eq!(held_up(&state, 5), Some(HeldUp::NoPulse), "whatever it is said to run");
    assert_eq!(held_up(&state, 6), None, "it has ended");
    state.update(Message::Event(Event::Job(JobView { seq: 9, ..on(1, 2, 8) })));
    assert_eq!(held_up(&state, 1), Some(HeldUp::NoSlot));
    assert_eq!(held_up(&state, 2), None, "it has them all");
    tell_jobs(&mut state, vec![on(9, 1, 0)]);
    assert_eq!(held_up(&state, 1), None, "nothing is known of its server");
}

/// Whatever is pressed wherever, nothing breaks, and the screen can be drawn.
#[test]
fn every_key_everywhere() {
    let letters = "jkgGnN/x\n?:v w t a y Y S\x1b{}[]cyrn*osfOuHm1234lh\t \n\x1bq";
    for start in [full, in_job, in_log] {
        for first in letters.chars() {
            let mut state = start(SIZE);
            press(&mut state, &first.to_string());
            for second in letters.chars() {
                press(&mut state, &second.to_string());
            }
            let area = state.area();
            crate::view::render(&mut ratatui::buffer::Buffer::empty(area), area, &state);
        }
    }
}
