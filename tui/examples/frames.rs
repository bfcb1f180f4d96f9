//! Measures what the console costs: frames, memory, log lines a second. Prints one object of JSON.
//!
//! `cargo run --release -p bisect-tui --example frames -- [LINES] [JOBS]`; 1,000,000 lines and 10,000 jobs without.
//! The screen is 140×40 and goes to nowhere, through the same backend that draws on a terminal. The log comes as the
//! daemon tells it: five times a second, 2,000 lines a second. An hour of that is replayed at once, to see whether memory
//! grows with it.

#[path = "../src/samples.rs"]
mod samples;

use base64::{Engine, engine::general_purpose::STANDARD};
use bisect_shared::{
    JobId, ProbeId,
    admin::{Event, JobPage, JobView, LogPiece},
};
use bisect_tui::{
    message::{Link, LogOf, Message},
    state::{Options, State},
    theme::Colours,
    view,
};
use chrono::TimeDelta;
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};
use serde_json::json;
use std::{
    io::{self, Sink, sink},
    time::{Duration, Instant},
};

const SIZE: (u16, u16) = (140, 40);
const LINES_A_SECOND: usize = 2000;
const FLUSHES_A_SECOND: usize = 5;
const FRAMES_A_SECOND: usize = 30;

struct Console {
    state: State,
    terminal: Terminal<CrosstermBackend<Sink>>,
    log: LogOf,
    seq: i64,
    lines: usize,
}

/// Times of frames, and of what was taken in between them.
#[derive(Default)]
struct Times {
    draw: Vec<Duration>,
    update: Vec<Duration>,
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (lines, jobs) = (number(1_000_000), number(10_000));
    let at_start = memory("VmRSS");
    let mut console = Console::new(i64::try_from(jobs).unwrap_or(i64::MAX))?;
    let with_jobs = memory("VmRSS");
    let table = console.watch(10, "")?;
    console.open_log();
    let ingest = console.fill(lines);
    let with_log = memory("VmRSS");
    let views = [
        ("jobs", table),
        ("log_following", console.watch(10, "")?),
        ("log_wrapped", console.watch(10, "w")?),
        ("log_scrolled_back", console.watch(10, "wgkkk")?),
        ("log_searching", console.watch(20, "/line 4711\n")?),
        ("log_found", console.watch(10, "nnG")?),
    ];
    let search = console.search("line 99");
    console.press("\u{1b}G");
    let before_hour = memory("VmRSS");
    let hour = console.hour()?;
    let after_hour = memory("VmRSS");
    let frames = views.iter().map(|(name, times)| ((*name).to_owned(), times.told()));
    let told = json!({
        "screen": format!("{}x{}", SIZE.0, SIZE.1),
        "jobs": jobs,
        "log_lines": lines,
        "frames_ms": frames.collect::<serde_json::Map<_, _>>(),
        "ingest_lines_per_second": (lines as f64 / ingest.as_secs_f64()).round(),
        "search_all_ms": millis(search),
        "rss_mb": {
            "start": at_start, "jobs": with_jobs, "jobs_and_log": with_log, "before_hour": before_hour,
            "after_hour": after_hour, "peak": memory("VmHWM"),
        },
        "hour": {
            "lines_kept": console.state.log.as_ref().map_or(0, |log| log.len()), "seconds": hour.as_secs_f64(),
            "grown_mb": ((after_hour - before_hour) * 10.0).round() / 10.0,
        },
    });
    println!("{}", serde_json::to_string_pretty(&told)?);
    Ok(())
}

impl Console {
    fn new(jobs: i64) -> io::Result<Self> {
        let options = Options { colours: Colours::True, host: "bench".to_owned(), size: SIZE, ..Options::default() };
        let viewport = Viewport::Fixed(Rect::new(0, 0, SIZE.0, SIZE.1));
        let terminal = Terminal::with_options(CrosstermBackend::new(sink()), TerminalOptions { viewport })?;
        let mut state = State::new(options, samples::now());
        state.update(Message::Link(Link::Up(samples::hello())));
        let mut rest = samples::many_jobs(jobs);
        let mut first = true;
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(1000));
            let page = JobPage { jobs: std::mem::replace(&mut rest, later), next: None };
            state.update(Message::Jobs { page, first, last: rest.is_empty() });
            first = false;
        }
        state.update(Message::Instances(samples::instances()));
        let log = LogOf { job: JobId(jobs), probe: None };
        Ok(Self { state, terminal, log, seq: 0, lines: 0 })
    }

    fn press(&mut self, keys: &str) {
        for letter in keys.chars() {
            let code = match letter {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                letter => KeyCode::Char(letter),
            };
            self.state.update(Message::Terminal(Input::Key(KeyEvent::new(code, KeyModifiers::NONE))));
        }
    }

    fn open_log(&mut self) {
        self.press(&format!(":job {}\nl", self.log.job));
    }

    /// Lines as tests print them: some in colours, two runs at once.
    fn pieces(&mut self, lines: usize) -> Vec<LogPiece> {
        let mut texts = [String::new(), String::new()];
        for _ in 0..lines {
            let (number, run) = (self.lines, self.lines / 7 % 2);
            self.lines += 1;
            let colour = if number.is_multiple_of(5) { "\u{1b}[32m" } else { "" };
            let test = format!("tests/test_{}.py::test_case[{number}] PASSED in 0.{:03}s", number % 83, number % 1000);
            texts[run].push_str(&format!("{colour}line {number}\u{1b}[0m {test}, nothing else to say\n"));
        }
        let printed = texts.iter().zip([1001, 1002]).filter(|(text, _)| !text.is_empty());
        let piece = |(text, probe): (&String, i64)| {
            self.seq += 1;
            LogPiece { probe: ProbeId(probe), seq: self.seq, at: samples::now(), bytes: STANDARD.encode(text) }
        };
        printed.map(piece).collect()
    }

    /// Takes in as many lines; how long that took, without making them up.
    fn fill(&mut self, lines: usize) -> Duration {
        let mut took = Duration::ZERO;
        let end = self.lines + lines;
        while self.lines < end {
            let pieces = self.pieces(1000.min(end - self.lines));
            let start = Instant::now();
            self.state.update(Message::Log(self.log, pieces));
            took += start.elapsed();
        }
        took
    }

    fn draw(&mut self) -> io::Result<()> {
        self.terminal.draw(|frame| view::draw(frame, &self.state)).map(drop)
    }

    /// So many seconds of life, as fast as it goes: frames, lines, jobs that change.
    fn watch(&mut self, seconds: usize, keys: &str) -> io::Result<Times> {
        let mut times = Times::default();
        self.press(keys);
        for frame in 0..seconds * FRAMES_A_SECOND {
            let mut messages = vec![Self::changed_job(frame)];
            if frame.is_multiple_of(FRAMES_A_SECOND / FLUSHES_A_SECOND) {
                let pieces = self.pieces(LINES_A_SECOND / FLUSHES_A_SECOND);
                messages.push(Message::Log(self.log, pieces));
            }
            if frame.is_multiple_of(FRAMES_A_SECOND / 4) {
                messages.push(Message::Tick { now: samples::now() + TimeDelta::milliseconds(frame as i64 * 33) });
            }
            let start = Instant::now();
            for message in messages {
                self.state.update(message);
            }
            times.update.push(start.elapsed());
            let start = Instant::now();
            self.draw()?;
            times.draw.push(start.elapsed());
        }
        Ok(times)
    }

    fn changed_job(frame: usize) -> Message {
        let (id, frame) = (9000 + frame as i64 % 900, frame as i64);
        Message::Event(Event::Job(JobView { seq: 10 + frame, probes_done: frame, ..samples::job(id) }))
    }

    /// Searches all of the log; how long that takes when nothing else is done.
    fn search(&mut self, text: &str) -> Duration {
        let start = Instant::now();
        self.press(&format!("/{text}\n"));
        while self.state.log.as_ref().is_some_and(|log| log.is_searching()) {
            self.state.update(Message::Tick { now: samples::now() });
        }
        start.elapsed()
    }

    /// An hour of lines, changes and ticks, with a frame for each second of it.
    fn hour(&mut self) -> io::Result<Duration> {
        let start = Instant::now();
        for second in 0..3600_usize {
            for _ in 0..FLUSHES_A_SECOND {
                let pieces = self.pieces(LINES_A_SECOND / FLUSHES_A_SECOND);
                self.state.update(Message::Log(self.log, pieces));
            }
            for change in 0..10 {
                self.state.update(Self::changed_job(second * 10 + change));
            }
            self.state.update(Message::Tick { now: samples::now() + TimeDelta::seconds(second as i64) });
            self.draw()?;
        }
        Ok(start.elapsed())
    }
}

impl Times {
    fn told(&self) -> serde_json::Value {
        let both: Vec<Duration> = self.draw.iter().zip(&self.update).map(|(draw, update)| *draw + *update).collect();
        json!({
            "draw_p50": quantile(&self.draw, 0.5), "draw_p99": quantile(&self.draw, 0.99),
            "update_p50": quantile(&self.update, 0.5), "update_p99": quantile(&self.update, 0.99),
            "both_p99": quantile(&both, 0.99), "both_max": quantile(&both, 1.0),
        })
    }
}

fn quantile(times: &[Duration], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).map_or(0.0, |time| millis(*time))
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// A line of `/proc/self/status`, in megabytes.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let kilobytes: f64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0.0);
    (kilobytes / 102.4).round() / 10.0
}
