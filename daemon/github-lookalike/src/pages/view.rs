//! The pages as HTML: state in, text out. Looks like what people know from GitHub, in one style sheet and one small
//! script, without anything from elsewhere.

use super::{escape, markdown::render};
use crate::git::CommitFacts;
use crate::render::association;
use crate::world::state::{Comment, Issue, Repository, State};
use chrono::{DateTime, SecondsFormat, Utc};
use std::fmt::Write as _;

pub(super) fn page(title: &str, place: &str, body: &str) -> String {
    let (title, style) = (escape(title), include_str!("page.css"));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\
         <style>{style}</style></head><body><header class=\"top\"><nav>{place}</nav>\
         <span class=\"what\"><a href=\"/\">GitHub look-alike</a>, on this machine only</span></header>\
         <main>{body}</main></body></html>"
    )
}

/// `owner / name`, each part of the way there a link.
fn place(state: &State, repository: &Repository) -> String {
    let full_name = escape(&state.full_name(repository));
    let shown = full_name.replace('/', " <i>/</i> ");
    let visibility = if repository.private { "Private" } else { "Public" };
    format!("<a href=\"/{full_name}\">{shown}</a> <span class=\"label\">{visibility}</span>")
}

/// The issues and pull requests, of one repository or of all.
pub(super) fn index(state: &State, repository: Option<&Repository>) -> String {
    let mut body = String::from("<h1>Issues and pull requests</h1><ul class=\"list\">");
    let wanted = |issue: &&Issue| !issue.deleted && repository.is_none_or(|it| it.id == issue.repository);
    for issue in state.issues.iter().filter(wanted) {
        let Some(repository) = state.repository(issue.repository) else { continue };
        let name = escape(&state.full_name(repository));
        let comments = of_issue(state, repository, issue.number).count();
        let _ = write!(
            body,
            "<li>{}<div><a href=\"/{name}/{}/{number}\"><b>{}</b></a><small>{name}#{number} opened by {} {} · {}</small>\
             </div></li>",
            pill(issue),
            kind(issue),
            escape(&issue.title),
            login(state, issue.user),
            time(issue.created_at),
            counted(comments, "comment"),
            number = issue.number,
        );
    }
    body.push_str("</ul><script>");
    body.push_str(include_str!("page.js"));
    body.push_str("</script>");
    page("Issues", &repository.map_or_else(String::new, |it| place(state, it)), &body)
}

/// An issue with its comments and the form; `None` for one that is deleted or never was.
pub(super) fn issue(state: &State, repository: &Repository, number: i64) -> Option<String> {
    let issue = state.issue(repository.id, number).filter(|issue| !issue.deleted)?;
    let name = escape(&state.full_name(repository));
    let what = if issue.pull.is_some() { "pull request" } else { "issue" };
    let text = if issue.body.is_empty() { "<em>No description.</em>".to_owned() } else { render(&issue.body) };
    let opening = Article {
        id: "opening".to_owned(),
        author: issue.user,
        what: "opened",
        written: issue.created_at,
        edited: false,
        body: text,
        reactions: String::new(),
    };
    let body = format!(
        "<h1>{} <span class=\"number\">#{number}</span></h1>\
         <p class=\"state\">{} <b>{}</b> opened this {what} {}</p>{}<div class=\"thread\">{}\
         <div id=\"comments\">{}</div></div>{}<p id=\"offline\" role=\"status\" hidden>The playground does not answer \
         any more. What you see is the last that it said.</p><script>{}</script>",
        escape(&issue.title),
        pill(issue),
        login(state, issue.user),
        time(issue.created_at),
        commits(&name, issue),
        article(state, repository, &opening),
        comments(state, repository, number),
        form(state, repository, issue),
        include_str!("page.js"),
    );
    Some(page(&issue.title, &place(state, repository), &body))
}

/// The comments of an issue, each one an element that the page's script can replace.
pub(super) fn comments(state: &State, repository: &Repository, issue: i64) -> String {
    let shown = of_issue(state, repository, issue).map(|comment| {
        let shown = Article {
            id: format!("issuecomment-{}", comment.id),
            author: comment.user,
            what: "commented",
            written: comment.created_at,
            edited: comment.history.len() > 1,
            body: render(&comment.body),
            reactions: reactions(state, comment),
        };
        article(state, repository, &shown)
    });
    shown.collect()
}

/// A commit with its message and its changes.
pub(super) fn commit(state: &State, repository: &Repository, commit: &CommitFacts, patch: &str) -> String {
    let (subject, text) = commit.message.split_once('\n').unwrap_or((&commit.message, ""));
    let name = escape(&state.full_name(repository));
    let parents =
        commit.parents.iter().map(|sha| format!("<a href=\"/{name}/commit/{sha}\"><code>{}</code></a>", short(sha)));
    let mut lines = String::new();
    for line in patch.lines() {
        let class = match line.as_bytes().first() {
            Some(b'+') if !line.starts_with("+++") => "added",
            Some(b'-') if !line.starts_with("---") => "removed",
            Some(b'@') => "place",
            Some(b' ') => "same",
            _ => "file",
        };
        let _ = write!(lines, "<span class=\"{class}\">{}</span>", escape(line));
    }
    let body = format!(
        "<h1>{}</h1><p class=\"state\"><b>{}</b> on {} · commit <code>{}</code> · parent {}</p>{}\
         <pre class=\"diff\"><code>{lines}</code></pre>",
        escape(subject),
        escape(&commit.author.name),
        escape(&commit.author.date.replace('T', " ").replace('Z', " UTC")),
        escape(&commit.sha),
        parents.collect::<Vec<_>>().join(", "),
        if text.trim().is_empty() { String::new() } else { format!("<pre>{}</pre>", escape(text.trim())) },
    );
    page(subject, &place(state, repository), &body)
}

fn of_issue<'a>(state: &'a State, repository: &Repository, issue: i64) -> impl Iterator<Item = &'a Comment> {
    let repository = repository.id;
    state.comments.iter().filter(move |comment| comment.repository == repository && comment.issue == issue)
}

fn kind(issue: &Issue) -> &'static str {
    if issue.pull.is_some() { "pull" } else { "issues" }
}

fn pill(issue: &Issue) -> String {
    let merged = issue.pull.as_ref().is_some_and(|pull| pull.merged.is_some());
    let (class, word) = if merged { ("merged", "Merged") } else { ("open", "Open") };
    format!("<span class=\"pill {class}\">{word}</span>")
}

fn commits(name: &str, issue: &Issue) -> String {
    let Some(pull) = &issue.pull else { return String::new() };
    let links =
        pull.commits.iter().map(|sha| format!("<a href=\"/{name}/commit/{sha}\"><code>{}</code></a>", short(sha)));
    format!("<p>Commits: {}</p>", links.collect::<Vec<_>>().join(", "))
}

fn short(sha: &str) -> &str {
    sha.get(..7).unwrap_or(sha)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn login(state: &State, user: i64) -> String {
    escape(state.user(user).map_or("ghost", |user| user.login.as_str()))
}

/// A moment, which the page's script tells as "2 minutes ago".
fn time(at: DateTime<Utc>) -> String {
    let machine = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("<time datetime=\"{machine}\">on {}</time>", at.format("%Y-%m-%d %H:%M UTC"))
}

/// The same colour for the same name, wherever it stands.
pub(super) fn hue(name: &str) -> u32 {
    name.bytes().fold(7_u32, |hue, byte| (hue * 31 + u32::from(byte)) % 360)
}

struct Article {
    id: String,
    author: i64,
    what: &'static str,
    written: DateTime<Utc>,
    edited: bool,
    /// HTML.
    body: String,
    /// HTML.
    reactions: String,
}

fn article(state: &State, repository: &Repository, shown: &Article) -> String {
    let author = state.user(shown.author);
    let bot = author.is_some_and(|author| author.kind == "Bot");
    let name = author.map_or("ghost", |author| author.login.trim_end_matches("[bot]"));
    let initial = escape(&name.chars().take(1).collect::<String>().to_uppercase());
    let hue = hue(name);
    let label = match association(state, repository, shown.author) {
        _ if bot => "<span class=\"label\">bot</span>",
        "OWNER" => "<span class=\"label\">Owner</span>",
        "COLLABORATOR" => "<span class=\"label\">Collaborator</span>",
        _ => "",
    };
    format!(
        "<article id=\"{id}\" class=\"{}\"><span class=\"avatar\" style=\"--hue:{hue}\" aria-hidden=\"true\">{initial}</span>\
         <div class=\"box\"><header><b>{}</b> {label} <a class=\"when\" href=\"#{id}\">{} {}</a>{}</header>\
         <div class=\"text\">{}</div>{}</div></article>",
        if bot { "bot" } else { "person" },
        escape(name),
        shown.what,
        time(shown.written),
        if shown.edited { "<span class=\"edited\"> · edited</span>" } else { "" },
        shown.body,
        shown.reactions,
        id = shown.id,
    )
}

/// Drawn and not written: not every machine has a font with these pictures.
const EYES: &str = "<svg viewBox=\"0 0 24 16\" width=\"21\" height=\"14\" aria-hidden=\"true\"><g fill=\"#fff\" stroke=\"#57606a\">\
     <ellipse cx=\"6.5\" cy=\"8\" rx=\"5\" ry=\"7\"/><ellipse cx=\"17.5\" cy=\"8\" rx=\"5\" ry=\"7\"/></g>\
     <g fill=\"#24292f\"><circle cx=\"4.5\" cy=\"8.5\" r=\"2.6\"/><circle cx=\"15.5\" cy=\"8.5\" r=\"2.6\"/></g></svg>";

fn reactions(state: &State, comment: &Comment) -> String {
    let mut counts: Vec<(&str, Vec<String>)> = Vec::new();
    for reaction in state.reactions.iter().filter(|reaction| reaction.comment == comment.id) {
        let who = login(state, reaction.user);
        match counts.iter_mut().find(|(content, _)| *content == reaction.content) {
            Some((_, people)) => people.push(who),
            None => counts.push((&reaction.content, vec![who])),
        }
    }
    let shown = counts.iter().map(|(content, people)| {
        let picture = if *content == "eyes" { EYES.to_owned() } else { escape(content) };
        let (content, who) = (escape(content), people.join(", "));
        format!("<span class=\"reaction\" title=\"{who} reacted with {content}\" data-content=\"{content}\">{picture} {}</span>", people.len())
    });
    let shown: String = shown.collect();
    if shown.is_empty() { shown } else { format!("<footer>{shown}</footer>") }
}

/// The form, with what to try.
fn form(state: &State, repository: &Repository, issue: &Issue) -> String {
    let name = escape(&state.full_name(repository));
    let people = state.users.iter().filter(|user| user.kind == "User");
    let people = people.map(|user| {
        let role = state.role(repository, user.id).map_or("may not see it", |role| match role.names().1 {
            "read" => "may read",
            "write" => "may push",
            _ => "owner",
        });
        let chosen = if user.id == issue.user { " selected" } else { "" };
        format!("<option value=\"{0}\"{chosen}>{0} ({role})</option>", escape(&user.login))
    });
    let hints = state.hints.iter().map(|(command, what)| {
        let command = escape(command);
        format!(
            "<li><button type=\"button\" data-text=\"{command}\"><code>{command}</code></button> {}</li>",
            escape(what)
        )
    });
    let hints: String = hints.collect();
    let hints = if hints.is_empty() { hints } else { format!("<div class=\"hints\"><b>Try</b><ul>{hints}</ul></div>") };
    format!(
        "<form method=\"post\" action=\"/{name}/{}/{}/comments\">{hints}\
         <textarea name=\"body\" required rows=\"4\" aria-label=\"Comment\" placeholder=\"Write a comment: /bisect help\">\
         </textarea><p class=\"send\"><label>as <select name=\"user\">{}</select></label>\
         <span id=\"problem\" role=\"alert\"></span><button class=\"primary\">Comment</button></p></form>",
        kind(issue),
        issue.number,
        people.collect::<String>(),
    )
}
