//! The commits under suspicion, as git lists them, and the parent edges between them.
//!
//! Read once per bisection from `git rev-list`; every later question is answered in memory. Inside
//! the search a commit is its [`Node`], its place in that list: a child's number is below its parents'.

use bisect_shared::{Sha, ShaError};
use std::collections::HashMap;
use std::io::{self, BufRead};

/// A commit's place in `git rev-list --topo-order`: 0 is the bad end, the newest.
pub(super) type Node = u32;

/// Why the output of `git rev-list` could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The stream itself failed.
    #[error("the list of commits could not be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not made of commit ids.
    #[error("line {line} of the list of commits: {source}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: ShaError,
    },
    /// A commit is listed twice, or after one of its parents.
    #[error("{0} is listed twice or after a parent: the list must come from --topo-order")]
    Order(Sha),
    /// The bad end is listed, but something stands above it.
    #[error("{0}, the bad end, is not the first of the list")]
    BadEndNotFirst(Sha),
}

/// The commits under suspicion: ancestors of the bad end that are no ancestors of a good end.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The candidates, newest first, then their parents outside the range.
    names: Vec<Sha>,
    nodes: HashMap<Sha, Node>,
    /// The parents of node `n` are `parents[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    parents: Vec<Node>,
    bad_end_added: bool,
}

impl Graph {
    /// Reads lines `<sha> <parent>…`, newest first, as
    /// `git rev-list --topo-order --parents BAD --not GOOD… [--first-parent] [-- PATHS]` prints them.
    ///
    /// With `first_parent` only the first parent counts as an edge. The bad end is always a
    /// candidate: when the paths keep git from listing it, it is added above all tips.
    ///
    /// # Errors
    /// When the stream fails or is no such list.
    pub fn parse(input: impl BufRead, bad: Sha, first_parent: bool) -> Result<Self, GraphError> {
        let mut rows = Rows::read(input, first_parent)?;
        let bad_end_added = !rows.commits.contains(&bad);
        if bad_end_added {
            rows.add_above_tips(bad);
        } else if rows.commits[0] != bad {
            return Err(GraphError::BadEndNotFirst(bad));
        }
        rows.into_graph(bad_end_added)
    }

    /// How many commits are under suspicion, the bad end included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Never true: the bad end is always a candidate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the commit is under suspicion.
    #[must_use]
    pub fn contains(&self, commit: &Sha) -> bool {
        self.node(commit).is_some()
    }

    /// The commits under suspicion, newest first.
    #[must_use]
    pub fn commits(&self) -> &[Sha] {
        &self.names[..self.len()]
    }

    /// The parents of a commit under suspicion, also those outside the range; empty for any other.
    pub fn parents(&self, commit: &Sha) -> impl Iterator<Item = Sha> + '_ {
        let parents = self.node(commit).map_or(&[][..], |node| {
            &self.parents[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
        });
        parents.iter().map(|&parent| self.names[parent as usize])
    }

    /// Whether the bad end touches none of the paths, so that git did not list it.
    pub(super) const fn bad_end_added(&self) -> bool {
        self.bad_end_added
    }

    /// The commit, if it is in the graph, and all in it that are built on it.
    pub fn built_on(&self, commit: &Sha) -> impl Iterator<Item = Sha> {
        let built = self.node(commit).map_or_else(Vec::new, |node| self.descendants(node));
        self.commits().iter().zip(built).filter(|(_, built)| *built).map(|(commit, _)| *commit)
    }

    pub(super) fn node(&self, commit: &Sha) -> Option<Node> {
        self.nodes.get(commit).copied()
    }

    pub(super) fn name(&self, node: Node) -> Sha {
        self.names[node as usize]
    }

    /// The parents inside the range.
    pub(super) fn inner_parents(&self, node: Node) -> impl Iterator<Item = Node> + '_ {
        let (from, to) = (self.starts[node as usize], self.starts[node as usize + 1]);
        let len = self.len() as Node;
        self.parents[from as usize..to as usize].iter().copied().filter(move |&parent| parent < len)
    }

    /// Marks the given commits and all their ancestors inside the range.
    pub(super) fn ancestors(&self, of: impl IntoIterator<Item = Node>) -> Vec<bool> {
        let mut marked = vec![false; self.len()];
        let mut newest = self.len();
        for node in of {
            marked[node as usize] = true;
            newest = newest.min(node as usize);
        }
        for node in newest..self.len() {
            if marked[node] {
                for parent in self.inner_parents(node as Node) {
                    marked[parent as usize] = true;
                }
            }
        }
        marked
    }

    /// Marks the commit and all its descendants inside the range.
    pub(super) fn descendants(&self, of: Node) -> Vec<bool> {
        let mut marked = vec![false; self.len()];
        marked[of as usize] = true;
        for node in (0..of).rev() {
            marked[node as usize] = self.inner_parents(node).any(|parent| marked[parent as usize]);
        }
        marked
    }
}

/// The list as it was read, before the parents have numbers.
#[derive(Default)]
struct Rows {
    commits: Vec<Sha>,
    /// Where the parents of each commit end in `parents`.
    ends: Vec<u32>,
    parents: Vec<Sha>,
}

impl Rows {
    fn read(mut input: impl BufRead, first_parent: bool) -> Result<Self, GraphError> {
        let mut rows = Self::default();
        let mut text = String::new();
        while input.read_line(&mut text)? > 0 {
            let line = rows.commits.len() + 1;
            let mut names = text.split_ascii_whitespace();
            let commit = names.next().unwrap_or_default();
            let commit = commit.parse().map_err(|source| GraphError::Line { line, source })?;
            rows.commits.push(commit);
            for parent in names.take(if first_parent { 1 } else { usize::MAX }) {
                let parent = parent.parse().map_err(|source| GraphError::Line { line, source })?;
                rows.parents.push(parent);
            }
            rows.ends.push(rows.parents.len() as u32);
            text.clear();
        }
        Ok(rows)
    }

    fn add_above_tips(&mut self, bad: Sha) {
        let below: std::collections::HashSet<&Sha> = self.parents.iter().collect();
        let mut parents: Vec<Sha> = self.commits.iter().copied().filter(|commit| !below.contains(commit)).collect();
        let tips = parents.len() as u32;
        parents.append(&mut self.parents);
        self.parents = parents;
        self.ends.iter_mut().for_each(|end| *end += tips);
        self.ends.insert(0, tips);
        self.commits.insert(0, bad);
    }

    fn into_graph(self, bad_end_added: bool) -> Result<Graph, GraphError> {
        let len = self.commits.len();
        let mut numbers: HashMap<Sha, Node> = HashMap::with_capacity(len);
        for (node, &commit) in self.commits.iter().enumerate() {
            if numbers.insert(commit, node as Node).is_some() {
                return Err(GraphError::Order(commit));
            }
        }
        let mut names = self.commits;
        let nodes = numbers.clone();
        let starts: Vec<u32> = std::iter::once(0).chain(self.ends).collect();
        let mut parents = Vec::with_capacity(self.parents.len());
        for child in 0..len {
            for parent in &self.parents[starts[child] as usize..starts[child + 1] as usize] {
                let node = *numbers.entry(*parent).or_insert_with(|| {
                    names.push(*parent);
                    names.len() as Node - 1
                });
                if node as usize <= child {
                    return Err(GraphError::Order(*parent));
                }
                parents.push(node);
            }
        }
        Ok(Graph { names, nodes, starts, parents, bad_end_added })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The commit that the tests call `number`.
    pub(in crate::search) fn sha(number: u32) -> Sha {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Sha::from_bytes(bytes)
    }

    /// A graph from rows `(commit, parents)`, newest first; the first one is the bad end.
    pub(in crate::search) fn graph(rows: &[(u32, &[u32])]) -> Graph {
        let text = list(rows);
        Graph::parse(text.as_bytes(), sha(rows[0].0), false).unwrap()
    }

    fn list(rows: &[(u32, &[u32])]) -> String {
        let line = |(commit, parents): &(u32, &[u32])| {
            let names = std::iter::once(commit).chain(parents.iter());
            names.map(|name| sha(*name).to_string()).collect::<Vec<_>>().join(" ") + "\n"
        };
        rows.iter().map(line).collect()
    }

    /// `length` commits in a row above commit 0, which is good; `length` is the bad end.
    pub(in crate::search) fn linear(length: u32) -> Graph {
        let rows: Vec<(u32, Vec<u32>)> = (1..=length).rev().map(|n| (n, vec![n - 1])).collect();
        let rows: Vec<(u32, &[u32])> = rows.iter().map(|(n, p)| (*n, p.as_slice())).collect();
        graph(&rows)
    }

    #[test]
    fn parents_outside_the_range_are_known_but_no_candidates() {
        let graph = graph(&[(4, &[2, 3]), (3, &[1]), (2, &[1, 0])]);
        assert_eq!(graph.len(), 3);
        assert!(graph.contains(&sha(2)) && !graph.contains(&sha(1)));
        assert_eq!(graph.parents(&sha(2)).collect::<Vec<_>>(), [sha(1), sha(0)]);
        assert_eq!(graph.inner_parents(0).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn only_the_first_parent_counts_where_asked() {
        let text = list(&[(4, &[2, 3]), (2, &[1, 0])]);
        let graph = Graph::parse(text.as_bytes(), sha(4), true).unwrap();
        assert_eq!(graph.parents(&sha(4)).collect::<Vec<_>>(), [sha(2)]);
    }

    #[test]
    fn a_bad_end_that_touches_no_path_stands_above_all_tips() {
        let text = list(&[(3, &[1]), (2, &[1]), (1, &[0])]);
        let graph = Graph::parse(text.as_bytes(), sha(9), false).unwrap();
        assert!(graph.bad_end_added());
        assert_eq!(graph.commits(), [sha(9), sha(3), sha(2), sha(1)]);
        assert_eq!(graph.parents(&sha(9)).collect::<Vec<_>>(), [sha(3), sha(2)]);
        assert_eq!(graph.parents(&sha(2)).collect::<Vec<_>>(), [sha(1)]);
        assert_eq!(Graph::parse(&b""[..], sha(9), false).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_such_list_is_refused() {
        let parse = |rows: &[(u32, &[u32])], bad| Graph::parse(list(rows).as_bytes(), sha(bad), false);
        assert!(matches!(parse(&[(1, &[0]), (2, &[1])], 1), Err(GraphError::Order(_))));
        assert!(matches!(parse(&[(2, &[1]), (2, &[1])], 2), Err(GraphError::Order(_))));
        assert!(matches!(parse(&[(2, &[1]), (1, &[])], 1), Err(GraphError::BadEndNotFirst(_))));
        let error = Graph::parse(&b"fatal: bad revision\n"[..], sha(1), false).unwrap_err();
        assert!(error.to_string().starts_with("line 1 of the list of commits: `fatal:`"), "{error}");
    }
}
