//! The fleet as its rows tell it: who takes jobs, and who was drained, has gone silent, or lost its Docker.

use super::Finding;
use crate::{
    config::Config,
    db::{Database, DbError, instance_views},
};
use bisect_shared::{InstanceId, admin::InstanceView};

const WHAT: &str = "servers";

/// Only of a database whose schema is current.
pub(super) async fn look(db: &Database, config: &Config) -> Vec<Finding> {
    let asked = async {
        let mut tx = db.begin().await?;
        // None of them asks: this process is no server.
        let seen = instance_views::list(&mut tx, &InstanceId(String::new()), config.clocks.stale_after).await?;
        tx.rollback().await?;
        Ok::<_, DbError>(seen)
    };
    match asked.await {
        Ok(seen) => findings(&seen),
        Err(error) => vec![Finding::fail(WHAT, error.to_string())],
    }
}

fn findings(seen: &[InstanceView]) -> Vec<Finding> {
    // Those with no jobs at once are people at a shell.
    let servers = || seen.iter().filter(|one| one.retired_at.is_none() && one.max_jobs > 0);
    let take = servers().filter(|one| !one.stale && one.drain_requested_by.is_none()).count();
    let running: i64 = servers().map(|one| one.running_jobs).sum();
    let mut found = match (take, servers().count()) {
        (0, 0) => vec![Finding::ok(WHAT, "none runs now")],
        (0, some) => vec![Finding::warn(WHAT, format!("of {some}, none takes jobs: they wait"))],
        (take, some) => vec![Finding::ok(WHAT, format!("{take} of {some} take jobs; {running} running"))],
    };
    found.extend(servers().filter_map(notable).map(|text| Finding::warn(WHAT, text)));
    found
}

/// What there is to say of one server.
fn notable(one: &InstanceView) -> Option<String> {
    let InstanceView { id, host, .. } = one;
    if one.stale {
        let since = one.heartbeat_at.format("%F %T UTC");
        return Some(format!(
            "{host} was not heard of since {since}: others took its jobs. Is it gone for good? Then nothing is to do ({id})"
        ));
    }
    if let Some(by) = &one.drain_requested_by {
        return Some(format!(
            "{host} is drained, by {by}: it takes no jobs until it restarts, or `D` in the console ends that ({id})"
        ));
    }
    (one.docker == Some(false)).then(|| format!("{host} cannot reach its Docker: jobs that it takes wait ({id})"))
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};
    use chrono::{DateTime, Utc};

    fn server(host: &str) -> InstanceView {
        InstanceView {
            id: InstanceId(format!("{host}-1-2-3")),
            host: host.to_owned(),
            version: "1.0.0".to_owned(),
            max_jobs: 2,
            max_probes: Some(2),
            running_jobs: 1,
            running_probes: 1,
            started_at: DateTime::<Utc>::UNIX_EPOCH,
            heartbeat_at: DateTime::<Utc>::UNIX_EPOCH,
            stale: false,
            drain_requested_by: None,
            retired_at: None,
            docker: Some(true),
            this: false,
        }
    }

    fn told(seen: &[InstanceView]) -> String {
        findings(seen).iter().map(Finding::line).collect()
    }

    #[test]
    fn each_server_that_takes_no_jobs_is_named_with_the_reason() {
        let seen = [
            server("one"),
            InstanceView { drain_requested_by: Some("grace".to_owned()), ..server("two") },
            InstanceView { stale: true, ..server("three") },
            InstanceView { docker: Some(false), ..server("four") },
            InstanceView { retired_at: Some(Utc::now()), ..server("five") },
            InstanceView { max_jobs: 0, ..server("six") },
        ];
        let told = told(&seen);
        assert!(told.starts_with("ok    servers       2 of 4 take jobs; 4 running\n"), "{told}");
        for says in [
            "two is drained, by grace",
            "three was not heard of since 1970-01-01 00:00:00 UTC",
            "four cannot reach its Docker",
        ] {
            assert!(told.lines().any(|line| line.starts_with("warn") && line.contains(says)), "{says}: {told}");
        }
        assert!(!told.contains("five") && !told.contains("six"), "{told}");
    }

    #[test]
    fn that_no_server_takes_jobs_is_a_warning_only_where_there_are_some() {
        assert_eq!(findings(&[]), [Finding::ok(WHAT, "none runs now")]);
        let drained = InstanceView { drain_requested_by: Some("grace".to_owned()), ..server("one") };
        assert_eq!(findings(&[drained]).first().map(|one| one.state), Some(State::Warn));
    }
}
