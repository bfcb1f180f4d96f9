//! The life of an installation and of its repositories, in any order and any number of times.

use crate::support::{CALC, Hub, Project, eventually};
use bisect_shared::JobStatus;
use bisectd::queue::Outcome;
use github_lookalike::{NewRepository, Order};
use std::path::Path;

#[tokio::test]
async fn a_suspended_installation_is_left_alone_until_it_works_again() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    hub.github.announce_installation(hub.installation).await.unwrap();
    let issue = hub.issue();
    let running = hub.job("ada", issue, "/bisect c0 c4 make one").await;
    let (lease, _) = hub.claim().await;
    let waiting = hub.job("ada", issue, "/bisect c0 c4 make two").await;

    hub.github.suspend(hub.installation).await.unwrap();
    let cancelled = async || (hub.row(waiting.id).await.status == JobStatus::Cancelled).then_some(());
    eventually("what waits is cancelled", cancelled).await;
    let before = hub.github.comments_by_apps();
    assert!(hub.queue().renew(&lease).await.unwrap().cancel_requested_by.is_some(), "what runs is told to stop");
    hub.queue().finish(&lease, &Outcome::cancelled()).await.unwrap();
    // A comment from before, whose webhook comes late.
    assert_eq!(hub.send(&service, "issue_comment", &written_late(&hub, waiting.comment.unwrap())).await, 202);
    assert_eq!(hub.ended(LATE).await.why, "the installation is suspended");
    assert_eq!(hub.count("SELECT count(*) FROM outbox WHERE state = 'waiting'").await, 0);

    hub.github.unsuspend(hub.installation).await.unwrap();
    let works = "SELECT count(*) FROM installations WHERE suspended_at IS NULL";
    eventually("it works again", async || (hub.count(works).await == 1).then_some(())).await;
    let after: Vec<_> = hub.github.comments_by_apps().into_iter().map(|comment| comment.history).collect();
    assert_eq!(after, before.into_iter().map(|comment| comment.history).collect::<Vec<_>>(), "nothing was posted");
    let job = hub.job("ada", issue, "/bisect c0 c4 make one").await;
    assert_ne!(job.id, running.id);

    // That it works again may also come by itself, where its own webhook is lost.
    hub.sql("UPDATE installations SET suspended_at = now()").await;
    hub.job("ada", issue, "/bisect c0 c4 make three").await;
    assert_eq!(hub.count(works).await, 1);
    hub.stop(service).await;
}

#[tokio::test]
async fn what_becomes_of_an_installation_is_audited() {
    let hub = Hub::new(Project::linear(2), &[]).await;
    let service = hub.serve_idle("one").await;
    hub.github.announce_installation(hub.installation).await.unwrap();
    hub.github.add_repository(&NewRepository::new("octo/more")).unwrap();
    hub.settled_deliveries().await;
    hub.github.suspend(hub.installation).await.unwrap();
    hub.settled_deliveries().await;
    hub.github.unsuspend(hub.installation).await.unwrap();
    hub.settled_deliveries().await;
    hub.github.set_private(CALC, true).await.unwrap();
    hub.settled_deliveries().await;
    hub.github.uninstall(hub.installation).await.unwrap();
    hub.settled_deliveries().await;
    let sql =
        "SELECT action, actor, detail FROM audit_events WHERE installation_id = $1 AND channel = 'github' ORDER BY id";
    let mut raw = hub.world.db.raw().await;
    let rows: Vec<(String, String, serde_json::Value)> =
        sqlx::query_as(sql).bind(hub.installation).fetch_all(&mut raw).await.unwrap();
    let actions: Vec<&str> = rows.iter().map(|(action, ..)| action.as_str()).collect();
    let expected = [
        "installation.created",
        "installation.suspend",
        "installation.unsuspend",
        "repository.privatized",
        "installation.deleted",
    ];
    assert_eq!(actions, expected, "{rows:?}");
    assert!(rows.iter().all(|(_, actor, _)| actor == "octo"), "{rows:?}");
    assert_eq!((&rows[0].2["account"], &rows[0].2["names"][0]), (&"octo".into(), &CALC.into()), "{rows:?}");
    let log = service.log();
    for action in expected {
        assert!(log.contains(&format!("\"audit.action\":\"{action}\"")), "{action} is not in the log");
    }
    hub.stop(service).await;
}

#[tokio::test]
async fn with_an_installation_goes_everything_that_was_done_for_it() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve("one").await;
    let issue = hub.issue();
    let job = hub.job("ada", issue, "/bisect c0 main sleep 1000").await;
    let mirrors = hub.world.path("one").join("mirrors");
    eventually("it runs", async || (!hub.world.running_containers().is_empty()).then_some(())).await;
    assert_eq!(hosted(&mirrors), 1);
    hub.github.uninstall(hub.installation).await.unwrap();
    let installations = "SELECT count(*) FROM installations";
    eventually("it is forgotten", async || (hub.count(installations).await == 0).then_some(())).await;
    // A comment comes after the news that nobody is there to answer it.
    assert_eq!(hub.send(&service, "issue_comment", &written_late(&hub, job.comment.unwrap())).await, 202);
    assert_eq!(hub.ended(LATE).await.why, "the installation is gone");
    for table in ["installations", "repositories", "bisect_jobs", "probes", "log_chunks", "usage_stats", "outbox"] {
        assert_eq!(hub.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    eventually("its containers are gone", async || hub.world.containers().is_empty().then_some(())).await;
    eventually("its mirror is gone", async || (hosted(&mirrors) == 0).then_some(())).await;
    hub.stop(service).await;
}

#[tokio::test]
async fn a_mirror_that_another_server_was_told_to_forget_goes_too() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let mirrors = hub.world.path("one").join("mirrors");
    let service = hub.serve("one").await;
    let issue = hub.issue();
    let job = hub.job("ada", issue, "/bisect c0 main exit 200").await;
    eventually("it ends", async || hub.row(job.id).await.status.is_final().then_some(())).await;
    hub.settled().await;
    assert_eq!(hosted(&mirrors), 1);
    service.stop().await;
    hub.sql("DELETE FROM installations").await;
    let service = hub.serve("one").await;
    eventually("the mirror is gone", async || (hosted(&mirrors) == 0).then_some(())).await;
    hub.end(service).await;
}

#[tokio::test]
async fn whatever_the_order_and_however_often_what_is_stored_is_what_github_says() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    hub.github.announce_installation(hub.installation).await.unwrap();
    let issue = hub.issue();
    hub.ask("ada", issue, "/bisect c0 c4 make").await;
    hub.settled().await;
    let (mut account, mut name) = ("octo".to_owned(), "calc".to_owned());
    for seed in 0..6 {
        hub.github.hold_webhooks();
        let full = |account: &str, name: &str| format!("{account}/{name}");
        for private in [true, false, true] {
            hub.github.set_private(&full(&account, &name), private ^ (seed % 2 == 0)).await.unwrap();
        }
        let next = format!("calc-{seed}");
        hub.github.rename_repository(&full(&account, &name), &next).await.unwrap();
        name = next;
        let next = format!("octo-{seed}");
        hub.github.rename_account(&account, &next).await.unwrap();
        account = next;
        hub.github.remove_from_installation(hub.installation, &full(&account, &name)).await.unwrap();
        hub.github.add_to_installation(hub.installation, &full(&account, &name)).await.unwrap();
        hub.github.accept_permissions(hub.installation, &permissions(seed)).await.unwrap();
        hub.github.suspend(hub.installation).await.unwrap();
        hub.github.unsuspend(hub.installation).await.unwrap();
        if seed % 2 == 1 {
            hub.github.webhook_fault(github_lookalike::WebhookFault::SecondDeliveryId);
        }
        hub.github.release_webhooks(Order::Shuffled(seed)).await;
        hub.settled_deliveries().await;
        let stored: (String, String, bool, String, bool) = sqlx::query_as(
            "SELECT r.full_name, i.account_login, r.private, i.permissions ->> 'checks', i.suspended_at IS NULL \
             FROM repositories r JOIN installations i USING (installation_id)",
        )
        .fetch_one(&mut hub.world.db.raw().await)
        .await
        .unwrap();
        let now = hub.github.repository(&full(&account, &name)).unwrap();
        let level = permissions(seed)[3].1.to_owned();
        assert_eq!(stored, (full(&account, &name), account.clone(), now.private, level, true), "seed {seed}");
    }
    assert_eq!(hub.world.jobs().await.len(), 1, "what was done for it is there still");
    // The end of a repository: transferred to who has the App not, archived, deleted.
    let full = format!("{account}/{name}");
    hub.github.archive(&full).await.unwrap();
    let archived = "SELECT count(*) FROM repositories WHERE archived";
    eventually("it is archived", async || (hub.count(archived).await == 1).then_some(())).await;
    hub.github.expect_comment(&full, issue, "job:");
    let service_log = service.log();
    hub.keeps_secrets(&service_log);
    hub.github.finish().await.unwrap();
    hub.github.delete_repository(&full).await.unwrap();
    eventually("it is gone", async || {
        (hub.count("SELECT (SELECT count(*) FROM repositories) + (SELECT count(*) FROM bisect_jobs)").await == 0)
            .then_some(())
    })
    .await;
    service.stop().await;
}

fn permissions(seed: u64) -> [(&'static str, &'static str); 4] {
    let level = if seed.is_multiple_of(2) { "read" } else { "write" };
    [("contents", "read"), ("issues", "write"), ("metadata", "read"), ("checks", level)]
}

#[tokio::test]
async fn a_repository_that_moves_is_served_where_it_is() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    hub.github.add_organization("acme");
    let acme = hub.github.install(hub.app.id, "acme", None).unwrap();
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    hub.ask("ada", issue, "/bisect c0 c4 make").await;
    hub.settled().await;
    hub.github.transfer_repository(CALC, "acme").await.unwrap();
    let moved = format!("SELECT count(*) FROM repositories WHERE installation_id = {acme} AND full_name = 'acme/calc'");
    eventually("it is the other installation's", async || (hub.count(&moved).await == 1).then_some(())).await;
    let posted = hub.github.comment("ada", "acme/calc", issue, "/bisect c0 c4 make there").await.unwrap();
    assert_eq!(hub.ended(posted.id).await.state, "processed");
    eventually("it is told there", async || (hub.github.comments_by_apps().len() == 2).then_some(())).await;
    // The old owner's goodbye comes late, and takes nothing away that is not his.
    let goodbye = format!(
        "{{\"action\":\"removed\",\"installation\":{{\"id\":{},\"account\":{{\"id\":1,\"login\":\"octo\",\"type\":\"Organization\"}}}},\
         \"repositories_added\":[],\"repositories_removed\":[{{\"id\":{},\"full_name\":\"octo/calc\",\"private\":false}}]}}",
        hub.installation,
        hub.github.repository("acme/calc").unwrap().id
    );
    assert_eq!(hub.send(&service, "installation_repositories", &goodbye).await, 202);
    hub.settled_deliveries().await;
    assert_eq!(hub.count(&moved).await, 1);
    hub.github.expect_comment("acme/calc", issue, "job:");
    hub.github.expect_comment("acme/calc", issue, "job:");
    hub.settled_deliveries().await;
    hub.stop(service).await;
}

#[tokio::test]
async fn every_body_that_github_published_is_taken_and_ends_with_a_reason() {
    let Some(folder) = std::env::var_os("BISECT_FIXTURES") else {
        eprintln!("skipped: BISECT_FIXTURES is not set");
        return;
    };
    let hub = Hub::new(Project::linear(2), &[]).await;
    let service = hub.serve_idle("one").await;
    let mut sent = 0;
    for event in std::fs::read_dir(Path::new(&folder).join("webhooks")).unwrap().flatten() {
        let Ok(files) = std::fs::read_dir(event.path()) else { continue };
        for file in files.flatten() {
            let body = std::fs::read_to_string(file.path()).unwrap();
            let event = event.file_name().into_string().unwrap();
            let status = hub.send(&service, &event, &body).await;
            assert!(matches!(status, 200 | 202), "{event} {:?}: {status}", file.file_name());
            sent += 1;
        }
    }
    assert!(sent >= 11, "{sent}");
    hub.settled_deliveries().await;
    let bad =
        "SELECT count(*) FROM webhook_deliveries WHERE state = 'failed' OR (state <> 'processed' AND outcome IS NULL)";
    assert_eq!(hub.count(bad).await, 0);
    assert_eq!(hub.count("SELECT count(*) FROM installations").await, 0, "GitHub knows none of them");
    hub.end(service).await;
}

/// The number of a comment whose webhook comes late.
const LATE: i64 = 999;

/// The webhook of a comment once more, as of another comment.
fn written_late(hub: &Hub, comment: i64) -> String {
    let number = format!("\"id\":{comment},");
    let sent = hub.github.deliveries().into_iter().find(|sent| sent.body.contains(&number)).unwrap();
    sent.body.replace(&number, &format!("\"id\":{LATE},"))
}

/// Mirrors of repositories on GitHub in a folder.
fn hosted(mirrors: &Path) -> usize {
    let Ok(entries) = mirrors.read_dir() else { return 0 };
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.flatten().map(name).filter(|name| name.starts_with("github-") && name.ends_with(".git")).count()
}
