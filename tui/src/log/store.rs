//! Everything that was printed: the text in a file without a name, and where each line is in it.
//!
//! A line has its number from when it was begun, so nothing moves when several runs print at once. One that has not
//! ended is read from its pen.

use super::{
    index::{Index, Record},
    pen::{LONGEST, Pen, Piece},
};
use crate::message::LogOf;
use base64::{Engine, engine::general_purpose::STANDARD};
use bisect_shared::{ProbeId, admin::LogPiece};
use chrono::{DateTime, Utc};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
};

/// Written to the file in pieces of at least this many bytes.
const BUFFER: usize = 64 * 1024;

/// What is known of a line without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Whose it is.
    pub probe: ProbeId,
    /// When it was begun.
    pub at: DateTime<Utc>,
    /// Whether it goes on from the line before of the same run, which is too long for one.
    pub continued: bool,
    /// Whether more of it may come.
    pub open: bool,
}

struct Run {
    probe: ProbeId,
    seq: i64,
    pen: Pen,
    /// The number of the line that has not ended.
    open: Option<usize>,
}

/// The output of one job, or of one of its runs.
pub struct Store {
    of: LogOf,
    runs: Vec<Run>,
    numbers: HashMap<ProbeId, usize>,
    index: Index,
    file: Option<File>,
    /// How much of the text is in the file; what follows is in `buffer`.
    written: u64,
    buffer: Vec<u8>,
    /// Lines that were seen before they ended, and have ended since [`Store::take_late`].
    late: Vec<usize>,
    failure: Option<String>,
}

impl Store {
    /// An empty one.
    #[must_use]
    pub fn new(of: LogOf) -> Self {
        Self {
            of,
            runs: Vec::new(),
            numbers: HashMap::new(),
            index: Index::default(),
            file: None,
            written: 0,
            buffer: Vec::new(),
            late: Vec::new(),
            failure: None,
        }
    }

    /// Whose output it is.
    #[must_use]
    pub const fn of(&self) -> LogOf {
        self.of
    }

    /// How many lines there are, those included that have not ended.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing was printed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    /// The runs that have printed something, in the order in which they began to.
    pub fn probes(&self) -> impl Iterator<Item = ProbeId> {
        self.runs.iter().map(|run| run.probe)
    }

    /// The last piece of each run.
    #[must_use]
    pub fn cursors(&self) -> Vec<(ProbeId, i64)> {
        self.runs.iter().map(|run| (run.probe, run.seq)).collect()
    }

    /// Why nothing more is kept.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Lines that were seen before they ended, and have ended since this was asked last.
    pub fn take_late(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.late)
    }

    /// Takes a piece in. One that is known already changes nothing.
    pub fn ingest(&mut self, piece: &LogPiece) {
        if self.failure.is_some() {
            return;
        }
        let number = self.run(piece.probe);
        let run = &mut self.runs[number];
        if piece.seq <= run.seq {
            return;
        }
        run.seq = piece.seq;
        let bytes = STANDARD.decode(&piece.bytes).unwrap_or_else(|_| b"[a piece that is no base64]".to_vec());
        let at = u32::try_from(piece.at.timestamp()).unwrap_or(0);
        let done = run.pen.write(&bytes);
        let kept = done.into_iter().try_for_each(|piece| self.end(number, at, &piece));
        let begun = kept.and_then(|()| self.begin(number, at));
        self.fail(begun);
    }

    /// Nothing more is printed: lines that have begun end.
    pub fn finish(&mut self) {
        for number in 0..self.runs.len() {
            let done = self.runs[number].pen.finish();
            let kept = done.into_iter().try_for_each(|piece| self.end(number, 0, &piece));
            self.fail(kept);
        }
    }

    fn fail(&mut self, kept: io::Result<()>) {
        if let Err(error) = kept {
            self.failure = Some(format!("the log cannot be kept here any longer: {error}"));
        }
    }

    /// A line that has begun and not ended is seen, too.
    fn begin(&mut self, number: usize, at: u32) -> io::Result<()> {
        let run = &mut self.runs[number];
        let (Some((_, continued)), None) = (run.pen.open(), run.open) else { return Ok(()) };
        run.open = Some(self.index.len());
        self.index.push(Record { offset: 0, run: number, at, length: 0, continued, open: true })
    }

    fn run(&mut self, probe: ProbeId) -> usize {
        if let Some(number) = self.numbers.get(&probe) {
            return *number;
        }
        let number = self.runs.len();
        self.runs.push(Run { probe, seq: -1, pen: Pen::default(), open: None });
        self.numbers.insert(probe, number);
        number
    }

    fn end(&mut self, number: usize, at: u32, piece: &Piece) -> io::Result<()> {
        let record = Record {
            offset: self.written + self.buffer.len() as u64,
            run: number,
            at,
            length: u16::try_from(piece.text.len()).unwrap_or(u16::MAX),
            continued: piece.continued,
            open: false,
        };
        match self.runs[number].open.take() {
            Some(line) => {
                let begun = self.index.get(line).map_or(at, |begun| begun.at);
                self.index.set(line, Record { at: begun, ..record });
                self.late.push(line);
            }
            None => self.index.push(record)?,
        }
        self.buffer.extend_from_slice(piece.text.as_bytes());
        if self.buffer.len() < BUFFER { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// What is known of a line.
    #[must_use]
    pub fn meta(&self, line: usize) -> Option<Meta> {
        let record = self.index.get(line)?;
        Some(Meta {
            probe: self.runs[record.run].probe,
            at: DateTime::from_timestamp(i64::from(record.at), 0).unwrap_or_default(),
            continued: record.continued,
            open: record.open,
        })
    }

    /// Whether a line is of that run.
    #[must_use]
    pub fn is_of(&self, line: usize, probe: ProbeId) -> bool {
        let number = self.numbers.get(&probe);
        self.index.get(line).is_some_and(|record| Some(&record.run) == number)
    }

    /// Reads a line; `near` makes it cheap to read those that follow.
    ///
    /// # Errors
    /// Those of the file.
    pub fn read<'a>(&'a self, line: usize, near: &'a mut Near) -> io::Result<&'a str> {
        let Some(record) = self.index.get(line) else {
            // A line that there is was not read back.
            return if line < self.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok("") };
        };
        if record.open {
            return Ok(self.runs[record.run].pen.open().map_or("", |(text, _)| text));
        }
        let (offset, length) = (record.offset, usize::from(record.length));
        let bytes = match offset.checked_sub(self.written) {
            Some(start) => {
                let start = usize::try_from(start).map_err(io::Error::other)?;
                &self.buffer[start..start + length]
            }
            None => near.bytes(self.file.as_ref(), self.written, offset, length)?,
        };
        std::str::from_utf8(bytes).map_err(io::Error::other)
    }
}

/// A part of the file that was read.
#[derive(Debug)]
pub struct Near {
    start: u64,
    bytes: Vec<u8>,
    ahead: usize,
}

impl Near {
    /// One that reads `ahead` bytes at once.
    #[must_use]
    pub fn new(ahead: usize) -> Self {
        Self { start: 0, bytes: Vec::new(), ahead: ahead.max(2 * LONGEST) }
    }

    fn bytes(&mut self, file: Option<&File>, written: u64, offset: u64, length: usize) -> io::Result<&[u8]> {
        let end = offset + length as u64;
        let known = self.start <= offset && end <= self.start + self.bytes.len() as u64;
        if !known {
            let file = file.ok_or(io::ErrorKind::NotFound)?;
            // Who goes up wants what is before it next.
            let up = !self.bytes.is_empty() && offset < self.start;
            let ahead = self.ahead.max(length);
            let start = if up { end.saturating_sub(ahead as u64) } else { offset };
            let most = usize::try_from(written - start).unwrap_or(usize::MAX);
            self.bytes.resize(ahead.min(most), 0);
            if let Err(error) = file.read_exact_at(&mut self.bytes, start) {
                self.bytes.clear();
                return Err(error);
            }
            self.start = start;
        }
        let start = usize::try_from(offset - self.start).map_err(io::Error::other)?;
        Ok(&self.bytes[start..start + length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bisect_shared::JobId;
    use proptest::prelude::*;

    fn piece(probe: i64, seq: i64, text: &[u8]) -> LogPiece {
        let at = DateTime::from_timestamp(1_800_000_000 + seq, 0).unwrap();
        LogPiece { probe: ProbeId(probe), seq, at, bytes: STANDARD.encode(text) }
    }

    fn store() -> Store {
        Store::new(LogOf { job: JobId(1), probe: None })
    }

    #[test]
    fn lines_without_end_of_what_takes_no_room_are_cut_like_others() {
        for line in ["\u{200b}".repeat(40_000), format!("e{}", "\u{1b}[31m\u{301}\u{1b}[32m\u{301}".repeat(9_000))] {
            let mut store = store();
            store.ingest(&piece(1, 0, line.as_bytes()));
            store.ingest(&piece(1, 1, format!("\n{}", "more\n".repeat(20_000)).as_bytes()));
            // Down and up again, through a reader that reads little ahead.
            let mut near = Near::new(0);
            for line in (0..store.len()).chain((0..store.len()).rev()) {
                assert!(store.read(line, &mut near).unwrap().len() <= LONGEST + 256);
            }
        }
    }

    fn lines(store: &Store) -> Vec<(i64, String)> {
        let mut near = Near::new(0);
        (0..store.len())
            .map(|line| (store.meta(line).unwrap().probe.0, store.read(line, &mut near).unwrap().to_owned()))
            .collect()
    }

    fn told(of: &[(i64, &str)]) -> Vec<(i64, String)> {
        of.iter().map(|(probe, text)| (*probe, (*text).to_owned())).collect()
    }

    #[test]
    fn runs_that_print_at_once_do_not_mix_within_a_line() {
        let mut store = store();
        store.ingest(&piece(1, 0, b"one "));
        store.ingest(&piece(2, 0, b"two\nof two "));
        assert_eq!(lines(&store), told(&[(1, "one "), (2, "two"), (2, "of two ")]), "seen before it ends");
        store.ingest(&piece(1, 1, b"goes on\nnext"));
        assert_eq!(store.take_late(), [0]);
        store.ingest(&piece(2, 1, b"ends\n"));
        assert_eq!(lines(&store), told(&[(1, "one goes on"), (2, "two"), (2, "of two ends"), (1, "next")]));
        assert!(!store.meta(0).unwrap().open && store.meta(3).unwrap().open);
        assert_eq!(store.meta(0).unwrap().at.timestamp(), 1_800_000_000, "when it was begun");
        assert_eq!(store.cursors(), [(ProbeId(1), 1), (ProbeId(2), 1)]);
        store.finish();
        store.finish();
        assert_eq!((store.len(), store.meta(3).unwrap().open), (4, false));
    }

    #[test]
    fn what_is_told_twice_is_kept_once() {
        let mut store = store();
        for seq in [0, 1, 0, 1, 2, 1] {
            store.ingest(&piece(7, seq, format!("{seq}\n").as_bytes()));
        }
        assert_eq!(lines(&store), told(&[(7, "0"), (7, "1"), (7, "2")]));
    }

    #[test]
    fn what_went_into_the_file_is_read_back() {
        let mut store = store();
        for seq in 0..20_000 {
            store.ingest(&piece(seq % 3, seq, format!("line {seq} é\n").as_bytes()));
        }
        assert!(store.file.is_some() && store.buffer.len() < 2 * BUFFER);
        let mut near = Near::new(100_000);
        for line in (0..20_000).rev().step_by(7).chain(0..20_000) {
            assert_eq!(store.read(line, &mut near).unwrap(), format!("line {line} é"));
        }
        assert_eq!((store.len(), store.read(20_000, &mut near).unwrap()), (20_000, ""));
    }

    proptest! {
        #[test]
        fn each_run_reads_as_if_it_were_alone(
            printed in proptest::collection::vec((0_i64..3, "[a-c\n\r\t\u{1b}\\[m;0-9]{0,20}"), 0..40)
        ) {
            let mut together = store();
            let mut alone = [store(), store(), store()];
            for (seq, (probe, text)) in printed.iter().enumerate() {
                let piece = piece(*probe, seq as i64, text.as_bytes());
                together.ingest(&piece);
                together.ingest(&piece);
                alone[*probe as usize].ingest(&piece);
            }
            let all = lines(&together);
            for (probe, store) in alone.iter().enumerate() {
                let own: Vec<_> = all.iter().filter(|(of, _)| *of == probe as i64).cloned().collect();
                prop_assert_eq!(own, lines(store));
            }
        }
    }
}
