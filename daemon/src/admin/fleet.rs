//! `/v1/instances`, `/v1/stats`, `/v1/audit`: the fleet, its numbers, who did what; and draining.

use super::{
    Admin,
    answer::{Asked, Fault, in_time},
    caller::Caller,
    jobs::limit,
};
use crate::{
    db::{DbError, audit_events, instance_views, overview, trends},
    github::RateLeft,
};
use axum::{
    Extension, Json,
    extract::{Path, State},
};
use bisect_shared::{
    InstanceId,
    admin::{AuditPage, AuditQuery, InstanceList, Outcome, Overview, Rate},
};
use std::cmp::Ordering;

/// Limits of GitHub that are told: a fleet may have thousands of installations.
const RATES: usize = 11;

pub(super) async fn instances(State(admin): State<Admin>) -> Result<Json<InstanceList>, Fault> {
    let list = async {
        let (this, stale_after) = (admin.actions.queue.instance(), admin.actions.queue.clocks().stale_after);
        let mut tx = admin.db.begin().await?;
        let instances = instance_views::list(&mut tx, this, stale_after).await?;
        tx.commit().await?;
        Ok::<_, DbError>(InstanceList { instances })
    };
    in_time(list).await.map(Json)
}

pub(super) async fn drain(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Outcome>, Fault> {
    let actor = caller.actor().await;
    in_time(admin.actions.drain(&InstanceId(id), &actor)).await.map(Json)
}

pub(super) async fn undrain(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Outcome>, Fault> {
    let actor = caller.actor().await;
    in_time(admin.actions.undrain(&InstanceId(id), &actor)).await.map(Json)
}

pub(super) async fn audit(
    State(admin): State<Admin>,
    Asked(query): Asked<AuditQuery>,
) -> Result<Json<AuditPage>, Fault> {
    let limit = limit(query.limit)?;
    let page = async {
        let mut tx = admin.db.begin().await?;
        let page = audit_events::page(&mut tx, query.before, limit).await?;
        tx.commit().await?;
        Ok::<_, DbError>(page)
    };
    in_time(page).await.map(Json)
}

pub(super) async fn stats(State(admin): State<Admin>) -> Result<Json<Overview>, Fault> {
    let mut told = in_time(admin.numbers()).await?;
    told.github = admin.rates();
    Ok(Json(told))
}

impl Admin {
    async fn numbers(&self) -> Result<Overview, DbError> {
        let mut tx = self.db.begin().await?;
        let stats = overview::stats(&mut tx, self.actions.queue.clocks().stale_after).await?;
        let depths = overview::depths(&mut tx).await?;
        let trends = trends::trends(&mut tx, stats.pending).await?;
        tx.commit().await?;
        Ok(Overview {
            pending: stats.pending,
            running: stats.running,
            completed: stats.completed,
            failed: stats.failed,
            cancelled: stats.cancelled,
            stale: stats.stale,
            oldest_pending: trends.oldest_pending,
            inbox: depths.inbox,
            inbox_age: depths.inbox_age,
            outbox: depths.outbox,
            outbox_age: depths.outbox_age,
            depth_by_minute: trends.depth,
            ended_by_minute: trends.ended,
            results: trends.results,
            github: Vec::new(),
        })
    }

    /// The App's own limit, and those of which the least is left.
    fn rates(&self) -> Vec<Rate> {
        let mut left = self.github.as_ref().map(crate::github::Github::rate_left).unwrap_or_default();
        let share = |rate: &RateLeft| rate.left as f64 / rate.limit.max(1) as f64;
        left.sort_by(|a, b| {
            (a.installation.is_some(), share(a))
                .partial_cmp(&(b.installation.is_some(), share(b)))
                .unwrap_or(Ordering::Equal)
        });
        left.truncate(RATES);
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        left.into_iter()
            .map(|rate| Rate {
                whose: rate.installation.map_or_else(|| "app".to_owned(), |number| format!("installation {number}")),
                left: whole(rate.left),
                limit: whole(rate.limit),
                resets_at: rate.resets_at,
            })
            .collect()
    }
}
