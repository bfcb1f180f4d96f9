//! The database: through both URLs, its schema, LISTEN, its clock, the servers in it; and what a pooler's URL means.

use super::{super::services, Finding, State, backups, servers};
use crate::{
    config::Config,
    db::{
        Database, DatabaseSettings,
        listener::{ListenError, Listener},
        migrations::{self, SchemaState},
        overview,
    },
};
use chrono::Utc;
use secrecy::ExposeSecret;

/// Beyond this, times in pages and logs confuse; leases are by the database's clock alone.
const SKEW: i64 = 5;

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    if config.database_url.is_none() {
        return vec![Finding::ok(
            "database",
            "DATABASE_URL is not set: a private PostgreSQL, for this one machine only",
        )];
    }
    let mut findings: Vec<Finding> =
        [("DATABASE_URL", &config.database_url), ("DATABASE_DIRECT_URL", &config.database_direct_url)]
            .into_iter()
            .filter_map(|(name, url)| {
                Some(Finding::ok("database URL", format!("{name}: {}", meaning(url.as_ref()?.expose_secret())?)))
            })
            .collect();
    findings.dedup_by_key(|finding| finding.text.rsplit(": ").next().map(str::to_owned));
    let settings = match services::database_settings(config).await {
        Ok((settings, _)) => settings,
        Err(refusal) => return vec![Finding::fail("database", refusal.message)],
    };
    let db = match Database::connect(&settings).await {
        Ok(db) => db,
        Err(error) => {
            findings.push(Finding::fail("database", error.to_string()));
            return findings;
        }
    };
    let schema = schema(&db).await;
    let current = schema.state == State::Ok;
    findings.push(schema);
    findings.push(clock(&db).await);
    findings.push(listens(&settings, &db).await);
    if current {
        findings.extend(servers::look(&db, config).await);
        findings.extend(backups::look(&db).await);
    }
    db.close().await;
    findings
}

async fn schema(db: &Database) -> Finding {
    match migrations::check_schema(db).await {
        Ok(SchemaState::Current) => Finding::ok("database", "it answers, and its schema is current"),
        Ok(other) => Finding::fail("database", other.to_string()),
        Err(error) => Finding::fail("database", error.to_string()),
    }
}

async fn clock(db: &Database) -> Finding {
    let asked = async {
        let mut tx = db.begin().await?;
        let theirs = overview::clock(&mut tx).await?;
        tx.rollback().await?;
        Ok::<_, crate::db::DbError>(theirs)
    };
    match asked.await {
        Ok(theirs) => skew("the database", (Utc::now() - theirs).num_seconds()),
        Err(error) => Finding::fail("clock", error.to_string()),
    }
}

/// What it means that this machine is so many seconds ahead of somebody.
pub(super) fn skew(of: &str, ahead: i64) -> Finding {
    let text = match ahead {
        0.. => format!("this machine is {ahead} s ahead of {of}"),
        behind => format!("this machine is {} s behind {of}", -behind),
    };
    if ahead.abs() > SKEW {
        Finding::warn("clock", format!("{text}: `timedatectl set-ntp true`"))
    } else {
        Finding::ok("clock", format!("that of {of} agrees"))
    }
}

async fn listens(settings: &DatabaseSettings, db: &Database) -> Finding {
    match Listener::connect_checked(settings, db).await {
        Ok(_) => Finding::ok("LISTEN", "a NOTIFY through DATABASE_URL arrives"),
        Err(error @ ListenError::TransactionPooler { .. })
            if settings.direct_url.as_ref().map(ExposeSecret::expose_secret) == Some(settings.url.expose_secret()) =>
        {
            Finding::warn("LISTEN", format!("`serve` polls, and `migrate` refuses: {error}"))
        }
        Err(error) => Finding::fail("LISTEN", error.to_string()),
    }
}

/// What the URL of a known host means; `None` for one that nobody has to be told of.
fn meaning(url: &str) -> Option<&'static str> {
    let place = url.split_once("://")?.1;
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let place = place.split(['/', '?']).next()?;
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "5432"));
    if host.ends_with(".pooler.supabase.com") {
        return Some(if port == "6543" {
            "Supabase's pooler in transaction mode: good for DATABASE_URL, of no use for LISTEN, migrations and backups"
        } else {
            "Supabase's pooler in session mode: good for both URLs, each connection holds one of its sessions"
        });
    }
    if host.starts_with("db.") && host.ends_with(".supabase.co") {
        return Some(if port == "6543" {
            "Supabase's dedicated pooler in transaction mode: good for DATABASE_URL only"
        } else {
            "Supabase's database itself: good for DATABASE_DIRECT_URL; reached by IPv6 only, unless the project has the IPv4 add-on"
        });
    }
    if host.ends_with(".neon.tech") {
        return Some(if host.split('.').next().is_some_and(|name| name.ends_with("-pooler")) {
            "Neon's pooler in transaction mode: good for DATABASE_URL; without `-pooler` in the name it is the database itself"
        } else {
            "Neon's database itself: good for DATABASE_DIRECT_URL"
        });
    }
    (port == "6432").then_some("PgBouncer's usual port: in transaction mode it is good for DATABASE_URL only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_hosted_databases_are_explained() {
        let told = |url: &str, part: &str| assert!(meaning(url).is_some_and(|text| text.contains(part)), "{url}");
        told("postgresql://postgres.ref:p@aws-0-eu-central-1.pooler.supabase.com:6543/postgres", "transaction mode");
        told("postgresql://postgres.ref:p@aws-0-eu-central-1.pooler.supabase.com:5432/postgres", "session mode");
        told("postgresql://postgres:p%40@db.ref.supabase.co:5432/postgres", "IPv6 only");
        told("postgresql://u:p@ep-x-pooler.eu-central-1.aws.neon.tech/db?sslmode=require", "Neon's pooler");
        told("postgresql://u:p@localhost:6432/db", "PgBouncer");
        assert_eq!(meaning("postgresql:///db?host=/run/postgresql"), None);
        assert_eq!(meaning("postgresql://u:p@db.internal:5432/db"), None);
    }

    #[test]
    fn a_clock_that_is_off_is_told_with_its_direction() {
        assert!(skew("GitHub", -90).text.contains("90 s behind GitHub"));
        assert_eq!(skew("GitHub", 2).state, State::Ok);
    }
}
