//! Where each line is: sixteen bytes a line, of which only the newest stay in memory.
//!
//! It grows in parts that are never copied. A part in which every line has ended goes into a file of its own once
//! enough newer ones are there, and comes back a whole part at a time.

use std::{cell::RefCell, fs::File, io, io::Write, os::unix::fs::FileExt};

/// Lines of one part.
pub(super) const PART: usize = 4096;

/// Parts that stay in memory: a quarter of a million lines.
const KEPT: usize = 64;

const BYTES: usize = 16;

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Where its text is in the file of the text.
    pub(super) offset: u64,
    /// Whose it is.
    pub(super) run: usize,
    /// Seconds since 1970, until 2106.
    pub(super) at: u32,
    pub(super) length: u16,
    /// Whether it goes on from the one before of its run.
    pub(super) continued: bool,
    /// Whether it has not ended.
    pub(super) open: bool,
}

/// The offset has 40 bits, the run 24.
const RUN_BITS: u32 = 24;

impl Record {
    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&(self.offset << RUN_BITS | self.run as u64).to_le_bytes());
        bytes[8..12].copy_from_slice(&self.at.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.length.to_le_bytes());
        bytes[14] = u8::from(self.continued) | u8::from(self.open) << 1;
        bytes
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *bytes;
        let place = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Self {
            offset: place >> RUN_BITS,
            run: (place & ((1 << RUN_BITS) - 1)) as usize,
            at: u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]),
            length: u16::from_le_bytes([rest[4], rest[5]]),
            continued: rest[6] & 1 != 0,
            open: rest[6] & 2 != 0,
        }
    }
}

type Packed = Vec<[u8; BYTES]>;

enum Part {
    Here(Packed),
    /// In the file, as the so-maniest part there.
    There(u64),
}

/// The index.
#[derive(Default)]
pub(super) struct Index {
    parts: Vec<Part>,
    length: usize,
    file: Option<File>,
    spilled: u64,
    /// The first part that may be in memory.
    first_here: usize,
    /// The part that was read last.
    cache: RefCell<(usize, Packed)>,
}

impl Index {
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) fn get(&self, line: usize) -> Option<Record> {
        if line >= self.length {
            return None;
        }
        let (number, place) = (line / PART, line % PART);
        match self.parts.get(number)? {
            Part::Here(records) => records.get(place).map(Record::from_bytes),
            Part::There(at) => {
                let mut cache = self.cache.borrow_mut();
                if cache.0 != number || cache.1.is_empty() {
                    *cache = (number, self.load(*at)?);
                }
                cache.1.get(place).map(Record::from_bytes)
            }
        }
    }

    /// A part of the file; nothing when it cannot be read.
    fn load(&self, at: u64) -> Option<Packed> {
        let mut bytes = vec![0; PART * BYTES];
        self.file.as_ref()?.read_exact_at(&mut bytes, at * (PART * BYTES) as u64).ok()?;
        Some(bytes.as_chunks::<BYTES>().0.to_vec())
    }

    /// Adds a line.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn push(&mut self, record: Record) -> io::Result<()> {
        if self.length.is_multiple_of(PART) {
            self.parts.push(Part::Here(Vec::with_capacity(PART)));
            self.spill()?;
        }
        if let Some(Part::Here(last)) = self.parts.last_mut() {
            last.push(record.to_bytes());
            self.length += 1;
        }
        Ok(())
    }

    /// Changes a line that was open.
    pub(super) fn set(&mut self, line: usize, record: Record) {
        if let Some(Part::Here(records)) = self.parts.get_mut(line / PART) {
            records[line % PART] = record.to_bytes();
        }
    }

    /// Parts that are complete and old go into the file; one with an open line waits for it.
    fn spill(&mut self) -> io::Result<()> {
        for number in self.first_here..self.parts.len().saturating_sub(KEPT) {
            let Part::Here(records) = &self.parts[number] else { continue };
            if records.iter().any(|record| Record::from_bytes(record).open) {
                continue;
            }
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile()?),
            };
            file.write_all(records.as_flattened())?;
            self.parts[number] = Part::There(self.spilled);
            self.spilled += 1;
        }
        let there = |part: &Part| matches!(part, Part::There(_));
        self.first_here += self.parts[self.first_here..].iter().take_while(|part| there(part)).count();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: usize) -> Record {
        Record {
            offset: line as u64 * 1_000_003,
            run: line % 77,
            at: u32::try_from(line).unwrap(),
            length: (line % 5000) as u16,
            continued: line.is_multiple_of(3),
            open: false,
        }
    }

    #[test]
    fn what_goes_into_the_file_comes_back() {
        let mut index = Index::default();
        let lines = (KEPT + 9) * PART + 5;
        for line in 0..lines {
            index.push(Record { open: line == 5000, ..record(line) }).unwrap();
        }
        let here = |index: &Index| index.parts.iter().filter(|part| matches!(part, Part::Here(_))).count();
        assert_eq!(here(&index), KEPT + 1, "the one with an open line stays");
        index.set(5000, record(5000));
        for line in lines..lines + PART {
            index.push(record(line)).unwrap();
        }
        assert_eq!(here(&index), KEPT);
        for line in (0..lines).step_by(997).chain([0, 4999, 5000, 5001, lines - 1]) {
            assert_eq!(index.get(line), Some(record(line)));
        }
        assert_eq!((index.len(), index.get(lines + PART)), (lines + PART, None));
    }
}
