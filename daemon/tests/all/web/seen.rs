//! Who sees what, in the database: by the condition of each query, and by row-level security alone.

use super::WORLD;
use crate::support::database;
use bisect_shared::{JobId, ProbeId};
use bisectd::db::{
    Database,
    viewer::{self, JobFilter},
};
use sqlx::{AssertSqlSafe, Executor, Row};

/// By the queries of the pages.
async fn seen(db: &Database, viewer: Option<i64>) -> (Vec<i64>, Vec<i64>, Vec<String>, Vec<String>) {
    let mut tx = db.begin_as_viewer(viewer).await.unwrap();
    let all = JobFilter { limit: 100, ..JobFilter::default() };
    let jobs = viewer::jobs(&mut tx, viewer, &all).await.unwrap().jobs.iter().map(|job| job.id.0).collect();
    let own = viewer::own_repositories(&mut tx, viewer).await.unwrap();
    let own = JobFilter { repositories: Some(own), ..all };
    let own = viewer::jobs(&mut tx, viewer, &own).await.unwrap().jobs.iter().map(|job| job.id.0).collect();
    let repositories = viewer::repositories(&mut tx, viewer, false, "", 100).await.unwrap();
    let usage = viewer::usage(&mut tx, viewer).await.unwrap();
    let names = repositories.into_iter().map(|it| it.full_name).collect();
    (jobs, own, names, usage.into_iter().map(|it| it.account).collect())
}

#[tokio::test]
async fn each_viewer_sees_what_github_lists_and_what_is_public() {
    let world = database().await;
    world.raw().await.execute(AssertSqlSafe(WORLD)).await.unwrap();
    let (public, db) = (vec![9, 8, 7, 6, 5, 4, 3], &world.db);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let with_secret: Vec<i64> = public.iter().copied().chain([1]).collect();
    let ada = (with_secret, vec![1], names(&["acme/open", "acme/secret"]), names(&["acme"]));
    assert_eq!(seen(db, Some(1)).await, ada);
    assert_eq!(seen(db, Some(2)).await, (public.clone(), public.clone(), names(&["acme/open"]), names(&["acme"])));
    assert_eq!(seen(db, None).await, (public, vec![], names(&["acme/open"]), vec![]));

    let mut tx = db.begin_as_viewer(Some(1)).await.unwrap();
    let may = async |tx: &mut _, job| viewer::may_act(tx, Some(1), JobId(job)).await.unwrap();
    assert_eq!([may(&mut tx, 1).await, may(&mut tx, 3).await, may(&mut tx, 10).await], [Some(true), Some(false), None]);
    assert!(viewer::sees(&mut tx, Some(1), JobId(1), Some(ProbeId(1))).await.unwrap());
    assert!(!viewer::sees(&mut tx, Some(1), JobId(1), Some(ProbeId(2))).await.unwrap(), "of another job");
    assert!(!viewer::sees(&mut tx, Some(1), JobId(2), None).await.unwrap(), "of a shell");

    // The queries' own conditions hold without row-level security too.
    let mut tx = db.begin().await.unwrap();
    assert!(viewer::job(&mut tx, Some(2), JobId(1)).await.unwrap().is_none());
    assert!(!viewer::sees(&mut tx, None, JobId(1), None).await.unwrap());
    assert!(viewer::repository(&mut tx, None, "acme/secret").await.unwrap().is_none());
    assert!(viewer::may_act(&mut tx, Some(2), JobId(1)).await.unwrap().is_none());
    let all = JobFilter { repositories: Some(vec![1, 2, 3]), limit: 100, ..JobFilter::default() };
    assert_eq!(viewer::jobs(&mut tx, Some(2), &all).await.unwrap().jobs.len(), 7);
    assert_eq!(viewer::usage(&mut tx, None).await.unwrap(), []);
}

#[tokio::test]
async fn without_any_condition_of_a_query_nothing_foreign_is_seen() {
    let world = database().await;
    let mut raw = world.raw().await;
    raw.execute(AssertSqlSafe(WORLD)).await.unwrap();
    raw.execute("SET ROLE bisect_dashboard").await.unwrap();
    let tables = [
        ("bisect_jobs", "id", "job"),
        ("probes", "job_id", "job"),
        ("job_events", "job_id", "job"),
        ("log_chunks", "probe_id", "probe"),
        ("repositories", "id", "repository"),
        ("user_repositories", "user_id", "user"),
        ("usage_stats", "installation_id", "installation"),
        ("installations", "installation_id", "installation"),
        ("users", "id", "user"),
    ];
    for (viewer, name) in [("1", "ada"), ("2", "eve"), ("", "nobody")] {
        raw.execute(AssertSqlSafe(format!("SET app.user_id = '{viewer}'"))).await.unwrap();
        for (table, column, what) in tables {
            let sql = format!("SELECT DISTINCT {column}::bigint FROM {table} ORDER BY 1");
            let rows = raw.fetch_all(AssertSqlSafe(sql)).await.unwrap();
            let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            let foreign: &[i64] = match (what, viewer) {
                ("job", "1") => &[2, 10],
                ("job", _) => &[1, 2, 10],
                ("probe", "1") => &[7],
                ("probe", _) => &[1, 7],
                ("repository", "1") => &[3],
                ("repository", _) => &[1, 3],
                ("installation", "") => &[500, 600],
                ("installation", _) => &[600],
                ("user", "1") => &[2],
                ("user", "2") => &[1],
                _ => &[1, 2],
            };
            assert!(!ids.iter().any(|id| foreign.contains(id)), "{name} sees of {table}: {ids:?}");
        }
    }
}
