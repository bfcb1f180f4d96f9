//! Comments of issues and reactions to them, with GitHub's refusals.

use super::repository_of;
use crate::auth::{self, Caller};
use crate::call::{Answered, Call, Reply};
use crate::render;
use crate::world::state::{Comment, Issue, Reaction, Repository, State};
use crate::world::write_comment;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

/// The longest comment, in characters.
const LONGEST: usize = 65_536;
/// Comments belong to issues and to pull requests; either permission will do.
const COMMENTS: &[&str] = &["issues", "pull_requests"];

fn issue(state: &State, repository: &Repository, number: i64) -> Result<Issue, Reply> {
    let issue = state.issue(repository.id, number).cloned().ok_or_else(Reply::not_found)?;
    if issue.deleted { Err(Reply::error(410, "This issue was deleted")) } else { Ok(issue) }
}

fn comment(state: &State, repository: &Repository, id: i64) -> Result<Comment, Reply> {
    let found = state.comments.iter().find(|c| c.repository == repository.id && c.id == id).cloned();
    let found = found.ok_or_else(Reply::not_found)?;
    issue(state, repository, found.issue).map_err(|_| Reply::not_found())?;
    Ok(found)
}

pub(crate) fn list(call: &Call<'_>) -> Answered {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    let number = call.number("issue_number")?;
    let since = call.query("since").map(DateTime::parse_from_rfc3339).transpose();
    let since = since.map_err(|_| Reply::error(422, "Invalid request.\n\nsince is not a valid ISO 8601 timestamp"))?;
    let found: Vec<Value> = {
        let state = call.world.read();
        caller.may_read(&state, &repository, COMMENTS)?;
        issue(&state, &repository, number)?;
        // GitHub's times are whole seconds.
        let late = |c: &&Comment| since.is_none_or(|since| c.updated_at.timestamp() >= since.timestamp());
        let here = state.comments.iter().filter(|c| c.repository == repository.id && c.issue == number).filter(late);
        here.map(|c| render::comment(&state, &repository, c)).collect()
    };
    let (shown, link) = call.page(&found, &format!("/repositories/{}/issues/{number}/comments", repository.id));
    let mut reply = Reply { caller: Some(caller.counted_as()), ..Reply::json(200, json!(shown)) };
    if let Some(link) = link {
        reply = reply.header("link", link);
    }
    Ok(reply)
}

pub(crate) fn show(call: &Call<'_>) -> Answered {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    let state = call.world.read();
    caller.may_read(&state, &repository, COMMENTS)?;
    let found = comment(&state, &repository, call.number("comment_id")?)?;
    Ok(Reply { caller: Some(caller.counted_as()), ..Reply::json(200, render::comment(&state, &repository, &found)) })
}

#[derive(Deserialize)]
struct Text {
    body: String,
}

fn text(call: &Call<'_>) -> Result<String, Reply> {
    let Text { body } = call.body()?;
    if body.trim().is_empty() {
        return Err(Reply::invalid("IssueComment", "body", "missing_field", Some("Body cannot be blank")));
    }
    if body.chars().count() > LONGEST {
        let message = "Body is too long (maximum is 65536 characters)";
        return Err(Reply::invalid("IssueComment", "body", "unprocessable", Some(message)));
    }
    Ok(body)
}

fn may_write(state: &State, caller: &Caller, repository: &Repository, issue: &Issue) -> Result<(i64, i64), Reply> {
    let allowed: &[&str] = if issue.pull.is_some() { COMMENTS } else { &["issues"] };
    caller.may(state, repository, allowed, "write")?;
    if repository.archived {
        return Err(Reply::error(403, "Repository was archived so is read-only."));
    }
    let Caller::Installation(token) = caller else { return Err(Reply::forbidden()) };
    let app = state.installation(token.installation).and_then(|i| state.app(i.app)).ok_or_else(Reply::forbidden)?;
    Ok((app.id, app.bot))
}

pub(crate) fn create(call: &Call<'_>) -> Answered {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    let number = call.number("issue_number")?;
    let written = call.world.change(|state| {
        caller.may_read(state, &repository, COMMENTS)?;
        let issue = issue(state, &repository, number)?;
        let (app, bot) = may_write(state, &caller, &repository, &issue)?;
        if issue.locked {
            return Err(Reply::error(403, "Unable to create comment because issue is locked."));
        }
        let body = text(call)?;
        Ok(write_comment(state, repository.id, number, bot, Some(app), &body))
    })?;
    let webhooks = call.world.webhooks_of(&written);
    let state = call.world.read();
    let body = render::comment(&state, &repository, &written);
    let location = body["url"].as_str().unwrap_or_default().to_owned();
    let reply = Reply::json(201, body).header("location", location);
    Ok(Reply { caller: Some(caller.counted_as()), webhooks, ..reply })
}

/// Finds the comment that a call changes and checks that it may.
fn changeable(state: &State, call: &Call<'_>, caller: &Caller, repository: &Repository) -> Result<Comment, Reply> {
    caller.may_read(state, repository, COMMENTS)?;
    let found = comment(state, repository, call.number("comment_id")?)?;
    let issue = issue(state, repository, found.issue)?;
    may_write(state, caller, repository, &issue)?;
    Ok(found)
}

pub(crate) fn update(call: &Call<'_>) -> Answered {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    call.world.change(|state| {
        let found = changeable(state, call, &caller, &repository)?;
        let (body, now) = (text(call)?, state.now());
        let known = state.comments.iter_mut().find(|c| c.id == found.id).ok_or_else(Reply::not_found)?;
        known.body.clone_from(&body);
        known.history.push(body);
        known.updated_at = now;
        let known = known.clone();
        let body = render::comment(state, &repository, &known);
        Ok(Reply { caller: Some(caller.counted_as()), ..Reply::json(200, body) })
    })
}

pub(crate) fn delete(call: &Call<'_>) -> Answered {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    call.world.change(|state| {
        let found = changeable(state, call, &caller, &repository)?;
        state.comments.retain(|c| c.id != found.id);
        state.reactions.retain(|r| r.comment != found.id);
        Ok(Reply { caller: Some(caller.counted_as()), ..Reply::nothing() })
    })
}

#[derive(Deserialize)]
struct NewReaction {
    content: String,
}

/// 201 the first time, 200 when it is there already.
pub(crate) fn react(call: &Call<'_>) -> Answered {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    let NewReaction { content } = call.body()?;
    if !render::REACTIONS.contains(&content.as_str()) {
        return Err(Reply::invalid("Reaction", "content", "invalid", None));
    }
    call.world.change(|state| {
        caller.may_read(state, &repository, COMMENTS)?;
        let found = comment(state, &repository, call.number("comment_id")?)?;
        let issue = issue(state, &repository, found.issue)?;
        let (_, bot) = may_write(state, &caller, &repository, &issue)?;
        if issue.locked {
            return Err(Reply::error(403, "Unable to create reaction because issue is locked."));
        }
        let there = state.reactions.iter().find(|r| r.comment == found.id && r.user == bot && r.content == content);
        let (status, reaction) = match there {
            Some(there) => (200, there.clone()),
            None => (201, add_reaction(state, found.id, bot, content)),
        };
        let body = render::reaction(state, &reaction);
        Ok(Reply { caller: Some(caller.counted_as()), ..Reply::json(status, body) })
    })
}

fn add_reaction(state: &mut State, comment: i64, user: i64, content: String) -> Reaction {
    let (id, created_at): (i64, DateTime<Utc>) = (state.next_id(), state.now());
    let reaction = Reaction { id, comment, user, content, created_at };
    state.reactions.push(reaction.clone());
    reaction
}
