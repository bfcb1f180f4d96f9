//! A log on a screen of ten rows.

use super::*;
use crate::samples;
use bisect_shared::JobId;

fn screen(lines: usize) -> LogScreen {
    let mut screen = LogScreen::new(LogOf { job: JobId(1), probe: None });
    screen.resize(80, 10);
    let text: String = (0..lines).map(|line| format!("line {line}\n")).collect();
    screen.ingest(&[samples::log_piece(1, 0, 0, text.as_bytes())]);
    screen
}

fn rows(screen: &LogScreen) -> (usize, usize) {
    let seen = screen.seen(80, 10);
    (seen.first().map_or(0, |place| place.row), seen.last().map_or(0, |place| place.row))
}

#[test]
fn it_follows_until_one_scrolls_back_and_again_at_the_end() {
    let mut log = screen(100);
    assert_eq!((rows(&log), log.cursor()), ((90, 99), 99));
    log.step(Step::Up);
    assert_eq!((rows(&log), log.cursor(), log.follows()), ((90, 99), 98, false));
    log.ingest(&[samples::log_piece(1, 1, 0, b"more\nand more\n")]);
    assert_eq!(rows(&log), (90, 99), "nothing moves");
    log.step(Step::Last);
    assert_eq!((rows(&log), log.cursor(), log.follows()), ((92, 101), 101, true));
    log.step(Step::PageUp);
    assert_eq!((rows(&log), log.cursor()), ((92, 101), 92));
    log.scroll(-50);
    assert_eq!((rows(&log), log.cursor()), ((42, 51), 51));
}

#[test]
fn a_search_goes_where_it_finds_and_back_when_it_is_given_up() {
    let mut log = screen(1000);
    log.go_to(500);
    log.start_search();
    log.search_for("line 77");
    assert_eq!(log.cursor(), 770);
    log.search_for("line 777");
    assert_eq!((log.cursor(), log.search().unwrap().count()), (777, 1));
    log.end_search(false);
    assert_eq!((log.cursor(), log.search().is_none()), (500, true));
    log.start_search();
    log.search_for("line 77");
    log.end_search(true);
    assert_eq!(log.search().unwrap().count(), 11);
    log.go_to_found(false);
    log.go_to_found(true);
    log.go_to_found(true);
    assert_eq!(log.cursor(), 77, "before 770 comes 77");
    log.go_to_found(true);
    assert_eq!(log.cursor(), 779, "round the beginning");
    assert!(log.clear() && !log.clear());
}

#[test]
fn one_run_alone_keeps_the_place() {
    let mut log = screen(3);
    log.ingest(&[samples::log_piece(2, 0, 0, b"other 0\nother 1\n"), samples::log_piece(1, 1, 0, b"line 3\n")]);
    log.go_to(4);
    assert_eq!(log.toggle_only(), None);
    assert_eq!((log.len(), log.cursor(), log.only()), (2, 1, Some(ProbeId(2))));
    log.ingest(&[samples::log_piece(2, 1, 0, b"other 2\n")]);
    assert_eq!(log.text_of(0..3).unwrap(), "other 0\nother 1\nother 2\n");
    log.toggle_only();
    assert_eq!((log.len(), log.cursor()), (7, 4));
    log.next_probe(false);
    assert_eq!(log.cursor(), 5);
    log.next_probe(true);
    assert_eq!(log.cursor(), 4);
    let mut one = LogScreen::new(LogOf { job: JobId(1), probe: Some(ProbeId(1)) });
    assert_eq!(one.toggle_only(), Some(LogOf { job: JobId(1), probe: None }), "more has to be asked for");
}

#[test]
fn a_line_taller_than_the_window_is_scrolled_through() {
    let mut log = screen(5);
    let long = format!("{}\nend\n", "x".repeat(80 * 30));
    log.ingest(&[samples::log_piece(1, 1, 0, long.as_bytes())]);
    log.toggle_wrap();
    log.go_to(0);
    log.go_to(5);
    assert_eq!(rows(&log), (5, 5));
    let mut steps = 0;
    while log.cursor() == 5 {
        log.step(Step::Down);
        steps += 1;
        assert!(steps < 100);
    }
    assert!(steps > 20, "every part was seen");
    assert_eq!(log.cursor(), 6);
}

#[test]
fn what_is_saved_is_what_is_shown() {
    let mut log = screen(2);
    let long = format!("\x1b[31mred\x1b[0m {}\n", "y".repeat(10_000));
    log.ingest(&[samples::log_piece(2, 0, 0, long.as_bytes())]);
    let mut out = Vec::new();
    log.write_to(&mut out, &|meta| format!("{} ", meta.probe)).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), format!("1 line 0\n1 line 1\n2 red {}\n", "y".repeat(10_000)));
    log.toggle_selection();
    log.step(Step::First);
    assert_eq!(log.selection(), Some(0..5));
    assert!(log.text_of(0..5).is_ok());
}

#[test]
fn the_rest_of_a_line_is_never_given_to_another_probe() {
    let mut log = screen(0);
    for seq in 0..2 {
        for (probe, letter) in [(3, "a"), (4, "b")] {
            log.ingest(&[samples::log_piece(probe, seq, 0, letter.repeat(5_000).as_bytes())]);
        }
    }
    let mut out = Vec::new();
    log.write_to(&mut out, &|meta| format!("{} ", meta.probe)).unwrap();
    let text = String::from_utf8(out).unwrap();
    for line in text.lines() {
        let (probe, printed) = line.split_once(' ').unwrap();
        let letter = if probe == "3" { 'a' } else { 'b' };
        assert!(printed.chars().all(|other| other == letter), "{probe}: {printed}");
    }
    assert_eq!(text.matches('a').count(), 10_000);
    let copied = log.text_of(0..log.len()).unwrap();
    assert_eq!(copied.matches('b').count(), 10_000);
    assert!(!copied.contains("ab") && !copied.contains("ba"), "{copied}");
}

#[test]
fn lines_are_broken_by_columns() {
    assert_eq!(broken("abcdef", 4), [0..4, 4..6]);
    assert_eq!(broken("日本語", 4), [0..6, 6..9]);
    assert_eq!(broken("日本", 1), [0..3, 3..6]);
    assert_eq!(broken("", 4).len(), 1);
}
