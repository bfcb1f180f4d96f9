//! Which lines are on the screen, when a line may take several rows of it. Pure.

/// A row of the screen: the row of the list, and which of its own rows, when it is wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The row of the list.
    pub row: usize,
    /// Which of its rows, from 0.
    pub part: usize,
}

/// A list of `rows` behind a window of `height` rows. `tall` tells how many rows of the screen one takes, at least 1.
pub struct Window<'a> {
    /// How many rows the list has.
    pub rows: usize,
    /// How many rows of the screen there are.
    pub height: usize,
    /// How many of them a row takes.
    pub tall: &'a dyn Fn(usize) -> usize,
}

impl Window<'_> {
    /// The place on top when the end of the list is at the bottom.
    #[must_use]
    pub fn end(&self) -> Place {
        match self.rows.checked_sub(1) {
            Some(last) => self.up(Place { row: last, part: (self.tall)(last) - 1 }, self.height.saturating_sub(1)),
            None => Place::default(),
        }
    }

    /// So many rows of the screen further up.
    #[must_use]
    pub fn up(&self, from: Place, by: usize) -> Place {
        let (mut place, mut left) = (from, by);
        while left > place.part {
            if place.row == 0 {
                return Place::default();
            }
            left -= place.part + 1;
            place.row -= 1;
            place.part = (self.tall)(place.row) - 1;
        }
        Place { part: place.part - left, ..place }
    }

    /// So many rows of the screen further down; never beyond the end.
    #[must_use]
    pub fn down(&self, from: Place, by: usize) -> Place {
        let (mut place, mut left) = (from, by);
        while place.row < self.rows {
            let here = (self.tall)(place.row) - 1 - place.part.min((self.tall)(place.row) - 1);
            if left <= here {
                place.part += left;
                break;
            }
            left -= here + 1;
            place = Place { row: place.row + 1, part: 0 };
        }
        place.min(self.end())
    }

    /// `top`, moved as little as needed for `row` to be seen: all of it, or as much as fits.
    #[must_use]
    pub fn reveal(&self, top: Place, row: usize) -> Place {
        let top = top.min(self.end());
        if row < top.row {
            return Place { row, part: 0 };
        }
        let tall = (self.tall)(row);
        if row == top.row && tall >= self.height {
            return top;
        }
        let last = Place { row, part: tall - 1 };
        let lowest_top = self.up(last, self.height.saturating_sub(1)).min(Place { row, part: 0 });
        if row == top.row { Place { row, part: 0 }.min(top) } else { top.max(lowest_top) }
    }

    /// What is seen from `top` on.
    #[must_use]
    pub fn seen(&self, top: Place) -> Vec<Place> {
        let mut seen = Vec::with_capacity(self.height);
        let mut row = top.row;
        let mut first = top.part;
        while row < self.rows && seen.len() < self.height {
            let tall = (self.tall)(row);
            seen.extend((first.min(tall - 1)..tall).map(|part| Place { row, part }));
            (row, first) = (row + 1, 0);
        }
        seen.truncate(self.height);
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn at(row: usize, part: usize) -> Place {
        Place { row, part }
    }

    #[test]
    fn a_list_of_single_rows() {
        let window = Window { rows: 10, height: 4, tall: &|_| 1 };
        assert_eq!(window.end(), at(6, 0));
        assert_eq!(window.up(at(6, 0), 100), at(0, 0));
        assert_eq!(window.down(at(0, 0), 2), at(2, 0));
        assert_eq!(window.down(at(0, 0), 100), at(6, 0));
        assert_eq!(window.reveal(at(3, 0), 1), at(1, 0));
        assert_eq!(window.reveal(at(3, 0), 8), at(5, 0));
        assert_eq!(window.reveal(at(3, 0), 5), at(3, 0));
        assert_eq!(window.seen(at(8, 0)), [at(8, 0), at(9, 0)]);
    }

    #[test]
    fn rows_that_are_wrapped() {
        let window = Window { rows: 3, height: 4, tall: &|row| [1, 3, 9][row] };
        assert_eq!(window.end(), at(2, 5));
        assert_eq!(window.up(at(2, 0), 1), at(1, 2));
        assert_eq!(window.down(at(0, 0), 2), at(1, 1));
        assert_eq!(window.seen(at(1, 1)), [at(1, 1), at(1, 2), at(2, 0), at(2, 1)]);
        assert_eq!(window.reveal(at(0, 0), 2), at(2, 0), "its beginning, when it does not fit");
        assert_eq!(window.reveal(at(2, 3), 2), at(2, 3), "stays within it");
        assert_eq!(window.reveal(at(1, 1), 1), at(1, 0));
    }

    #[test]
    fn an_empty_list() {
        let window = Window { rows: 0, height: 4, tall: &|_| 1 };
        assert_eq!((window.end(), window.down(at(0, 0), 3), window.seen(at(0, 0))), (at(0, 0), at(0, 0), vec![]));
    }

    proptest! {
        #[test]
        fn what_is_revealed_is_seen(
            talls in proptest::collection::vec(1_usize..6, 1..30), height in 1_usize..10, top: usize, row: usize
        ) {
            let (top, row) = (top % talls.len(), row % talls.len());
            let window = Window { rows: talls.len(), height, tall: &|row| talls[row] };
            let revealed = window.reveal(at(top, 0), row);
            prop_assert!(window.seen(revealed).iter().any(|place| place.row == row));
            prop_assert!(revealed <= window.end());
            let moved = window.up(window.down(revealed, height), height);
            prop_assert!(moved <= revealed.max(window.end()));
        }
    }
}
