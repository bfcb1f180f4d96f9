//! Which lines of a comment are commands: those at the start of a line of its own text.
//!
//! What a reader sees as somebody's own line counts: paragraphs at the top level, also when a `---` below
//! (a mail signature) makes one a heading. What stands in anything else does not: quotes, with the lines
//! that Markdown draws into them although they have no `>`; lists and tables, whose lines begin with their
//! marker or cell; code; links; HTML comments and blocks; what is struck out; and what stands, after a
//! blank line, inside `<details>`, `<blockquote>` or the like, where people fold and quote what others said.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::ops::Range;

/// What begins a command, in any case: phones write a capital letter.
const WORD: &str = "/bisect";

/// HTML elements whose content is not the writer's own plain text.
const CONTAINERS: [&str; 14] =
    ["blockquote", "q", "details", "pre", "code", "samp", "kbd", "table", "ul", "ol", "dl", "del", "s", "strike"];

/// A line that is a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommandLine<'a> {
    /// The source after `/bisect`, without the white space around it.
    pub(super) rest: &'a str,
    /// The fenced code block below it.
    pub(super) fence: Option<Fence>,
}

/// A fenced code block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fence {
    /// What it holds.
    pub(super) text: String,
    /// Whether it begins on the very next line; there may be blank ones else.
    pub(super) adjacent: bool,
    /// Whether its source holds a NUL, which Markdown replaces.
    pub(super) nul: bool,
}

/// Whether the text could hold a command at all.
pub(super) fn mentions(text: &str) -> bool {
    text.as_bytes().windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD.as_bytes()))
}

/// Quotes and lists within one another beyond this are nobody's writing; reading them takes time that grows
/// with their depth times the lines below.
const MAX_NESTING: usize = 100;

/// Whether some line begins with more marks of quotes and lists than anybody writes.
pub(super) fn too_deep(text: &str) -> bool {
    text.lines().any(|line| {
        let marks = line.find(|c: char| !" \t>-*+.)0123456789".contains(c)).unwrap_or(line.len());
        let marks = line.as_bytes()[..marks].windows(2);
        let opens = |pair: &[u8]| pair[0] == b'>' || (b"-*+.)".contains(&pair[0]) && b" \t".contains(&pair[1]));
        marks.filter(|pair| opens(pair)).count() > MAX_NESTING
    })
}

/// The commands of a comment, in order; a fence is looked for below the first alone.
pub(super) fn command_lines(comment: &str) -> Vec<CommandLine<'_>> {
    let extensions = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM;
    let mut walk = Walk { comment, ..Walk::default() };
    for (event, range) in Parser::new_ext(comment, extensions).into_offset_iter() {
        walk.event(&event, range);
    }
    walk.lines
}

/// Where the walk through the events is.
#[derive(Default)]
struct Walk<'a> {
    comment: &'a str,
    /// Open elements of Markdown around this place.
    depth: usize,
    /// Open containers of HTML around this place.
    folded: usize,
    /// The same, inside the current paragraph: what it leaves open ends with it.
    folded_inline: usize,
    /// Inside the current paragraph: what is not plain text, in order.
    excluded: Vec<(Range<usize>, bool)>,
    /// The block whose text is being read into the fence of the first line.
    in_fence: bool,
    /// The end of the first line, until something else than a fence follows.
    first_ends: Option<usize>,
    lines: Vec<CommandLine<'a>>,
}

impl<'a> Walk<'a> {
    fn event(&mut self, event: &Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => {
                self.start(tag, range);
                self.depth += 1;
            }
            Event::End(end) => {
                self.depth -= 1;
                self.end(*end, range);
            }
            Event::Text(text) if self.in_fence => {
                if let Some(fence) = self.lines.first_mut().and_then(|line| line.fence.as_mut()) {
                    fence.text.push_str(text);
                }
            }
            Event::Code(_) => self.excluded.push((range, true)),
            Event::InlineHtml(html) => {
                self.excluded.push((range.clone(), true));
                self.folded_inline = folded(html, self.folded_inline);
                // From here to the next tag everything is folded, or nothing.
                self.excluded.push((range.end..usize::MAX, self.folded_inline > self.folded));
            }
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: Range<usize>) {
        if self.depth > 0 {
            if matches!(tag, Tag::Link { .. } | Tag::Image { .. } | Tag::Strikethrough) {
                self.excluded.push((range, true));
            }
            return;
        }
        let below = self.first_ends.take();
        match tag {
            Tag::Paragraph | Tag::Heading { .. } => {
                self.excluded.clear();
                self.folded_inline = self.folded;
            }
            Tag::HtmlBlock => self.folded = folded(&self.comment[range], self.folded),
            Tag::CodeBlock(CodeBlockKind::Fenced(_)) => self.fence(below, range),
            _ => {}
        }
    }

    fn fence(&mut self, below: Option<usize>, range: Range<usize>) {
        let (Some(end), Some(line)) = (below, self.lines.first_mut()) else { return };
        let between = &self.comment[end..range.start];
        if !between.trim().is_empty() {
            return; // A rule, or the definition of a link.
        }
        let newlines = between.replace("\r\n", "\n").matches(['\n', '\r']).count();
        let nul = self.comment[range].contains('\0');
        line.fence = Some(Fence { text: String::new(), adjacent: newlines <= 1, nul });
        self.in_fence = true;
    }

    fn end(&mut self, end: TagEnd, range: Range<usize>) {
        if self.depth > 0 {
            return;
        }
        self.in_fence = false;
        if matches!(end, TagEnd::Paragraph | TagEnd::Heading(_)) && self.folded == 0 {
            self.paragraph(range);
        }
    }

    /// Takes the commands out of a paragraph at the top level.
    fn paragraph(&mut self, range: Range<usize>) {
        let mut excluded = Exclusions::new(std::mem::take(&mut self.excluded));
        let comment = self.comment;
        let mut start = range.start;
        for line in comment[range].split_inclusive(['\n', '\r']) {
            let text = line.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            let place = start + (line.len() - text.len());
            start += line.len();
            let Some(rest) = after_word(text) else {
                self.first_ends = self.first_ends.filter(|_| text.is_empty());
                continue;
            };
            if excluded.contains(place) {
                self.first_ends = None;
                continue;
            }
            let ends = place + WORD.len() + rest.trim_end().len();
            self.first_ends = self.lines.is_empty().then_some(ends);
            self.lines.push(CommandLine { rest: rest.trim(), fence: None });
        }
    }
}

/// What follows `/bisect` on a line that begins with it; `/bisected`, `/bisect-foo` and paths are other words.
fn after_word(text: &str) -> Option<&str> {
    let (word, rest) = (text.get(..WORD.len())?, text.get(WORD.len()..)?);
    let ends = |rest: &str| rest.chars().next().is_none_or(|c| c.is_whitespace());
    // `/bisect: v1 main …` is meant for the bot too.
    let punctuated = rest.strip_prefix([':', ',', '.', ';', '!', '?']).is_some_and(ends);
    (word.eq_ignore_ascii_case(WORD) && (ends(rest) || punctuated)).then_some(rest)
}

/// Asks for places in ascending order, so that each range is looked at once.
struct Exclusions {
    ranges: std::iter::Peekable<std::vec::IntoIter<(Range<usize>, bool)>>,
    /// The furthest end of what began so far.
    until: usize,
    /// Whether the last HTML tag left a container open.
    open: bool,
}

impl Exclusions {
    fn new(ranges: Vec<(Range<usize>, bool)>) -> Self {
        Self { ranges: ranges.into_iter().peekable(), until: 0, open: false }
    }

    fn contains(&mut self, place: usize) -> bool {
        while let Some((range, excluded)) = self.ranges.next_if(|(range, _)| range.start <= place) {
            if range.end == usize::MAX {
                self.open = excluded;
            } else {
                self.until = self.until.max(range.end);
            }
        }
        self.open || place < self.until
    }
}

/// How many containers are open after this piece of HTML, if `open` were before it.
fn folded(html: &str, mut open: usize) -> usize {
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            let Some(end) = comment.find("-->") else { break };
            rest = &comment[end + 3..];
            continue;
        }
        let (closing, name) = rest.strip_prefix('/').map_or((false, rest), |name| (true, name));
        let name = &name[..name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len())];
        if CONTAINERS.iter().any(|container| container.eq_ignore_ascii_case(name)) {
            open = if closing { open.saturating_sub(1) } else { open + 1 };
        }
    }
    open
}
