//! The App's webhook deliveries: the list, one with its bodies, and sending one again.

use super::app::counted;
use crate::auth;
use crate::call::{Answered, Call, Reply};
use crate::render;
use crate::world::state::{App, Delivery};
use serde_json::{Value, json};

fn find(call: &Call<'_>, app: &App) -> Result<Delivery, Reply> {
    let id = call.number("delivery_id")?;
    let state = call.world.read();
    state.deliveries.iter().find(|d| d.id == id && d.app == app.id).cloned().ok_or_else(Reply::not_found)
}

/// Newest first; the next page is named by a cursor, not by a number.
pub(crate) fn list(call: &Call<'_>) -> Answered {
    let app = auth::app(call)?;
    let per_page = call.query("per_page").and_then(|n| n.parse().ok()).unwrap_or(30).clamp(1, 100);
    let below = match call.query("cursor") {
        None => i64::MAX,
        Some(cursor) => {
            let id = cursor.strip_prefix("v1_").and_then(|id| id.parse().ok());
            id.ok_or_else(|| Reply::error(400, "Invalid cursor"))?
        }
    };
    let wanted = |d: &&Delivery| match call.query("status") {
        Some("success") => (200..400).contains(&d.status),
        Some("failure") => !(200..400).contains(&d.status),
        _ => true,
    };
    let state = call.world.read();
    let of_app = state.deliveries.iter().rev().filter(|d| d.app == app.id && d.id < below).filter(wanted);
    let mut shown: Vec<&Delivery> = of_app.take(per_page + 1).collect();
    let more = shown.len() > per_page;
    shown.truncate(per_page);
    let body: Vec<Value> = shown.iter().map(|d| render::delivery(d)).collect();
    let mut reply = Reply { caller: counted(&app), ..Reply::json(200, json!(body)) };
    if let Some(last) = shown.last().filter(|_| more) {
        let status = call.query("status").map_or_else(String::new, |s| format!("&status={s}"));
        let path = format!("{}/app/hook/deliveries?per_page={per_page}&cursor=v1_{}{status}", state.url, last.id);
        reply = reply.header("link", format!("<{path}>; rel=\"next\""));
    }
    Ok(reply)
}

pub(crate) fn show(call: &Call<'_>) -> Answered {
    let app = auth::app(call)?;
    let delivery = find(call, &app)?;
    let mut body = render::delivery(&delivery);
    body["url"] = json!(app.webhook_url.clone().unwrap_or_default());
    let payload: Value = serde_json::from_str(&delivery.body).unwrap_or(Value::Null);
    body["request"] = json!({"headers": delivery.headers, "payload": payload});
    body["response"] = json!({"headers": {}, "payload": delivery.answer});
    Ok(Reply { caller: counted(&app), ..Reply::json(200, body) })
}

pub(crate) fn attempt(call: &Call<'_>) -> Answered {
    let app = auth::app(call)?;
    let delivery = find(call, &app)?;
    let webhooks = vec![delivery.again()];
    Ok(Reply { caller: counted(&app), webhooks, ..Reply::json(202, json!({})) })
}
