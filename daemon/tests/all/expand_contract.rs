//! An older server goes on under a schema that a newer one has migrated: what each migration changes is compared, in the
//! database's own catalogue, with what a program built before it may still do. What it might not bear needs a reason, in a
//! line `-- old servers: …` of the migration.

use crate::support::{TestDb, empty_database};
use bisectd::db::migrations;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::collections::{BTreeMap, BTreeSet};

/// The newest of those that make the first schema: no server ran under an older one.
const FIRST_SCHEMA: i64 = 20260101000010;

/// Migrations from before this rule, whose files are not edited any more. Nothing had been released, so no older program ran
/// beside them; what each would have meant to one:
const REVIEWED: [(i64, &str); 3] = [
    (20261126011700, "wider CHECKs of `ending`: an older program cannot read `tampered` in jobs of newer ones"),
    (20261126011800, "viewers may read named columns of bisect_jobs only, not whole rows"),
    (20261126171500, "a wider CHECK of `purpose`: an older program cannot read `sample` in jobs of newer ones"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    kind: String,
    required: bool,
    filled: bool,
    generated: bool,
}

/// What a program may rely on.
#[derive(Debug, Default)]
struct Schema {
    /// By table and name.
    columns: BTreeMap<(String, String), Column>,
    /// By table and name: CHECKs and the like with their text, and the columns that they speak of.
    rules: BTreeMap<(String, String), (String, Vec<String>)>,
    /// Triggers by table and name.
    triggers: BTreeMap<(String, String), String>,
    functions: BTreeMap<String, String>,
    /// Policies, and what viewers may read: table and column.
    policies: BTreeMap<(String, String), String>,
    granted: BTreeSet<(String, String)>,
}

impl Schema {
    async fn read(raw: &mut PgConnection) -> Self {
        let columns = "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
                a.atthasdef OR a.attidentity <> '', a.attgenerated <> '' \
            FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 \
                AND NOT a.attisdropped AND c.relname <> '_sqlx_migrations'";
        let columns: Vec<(String, String, String, bool, bool, bool)> =
            sqlx::query_as(columns).fetch_all(&mut *raw).await.unwrap();
        // A unique index without a constraint binds as one does, and ON CONFLICT may name it.
        let rules = "SELECT c.conrelid::regclass::text, c.conname::text, pg_get_constraintdef(c.oid), \
                ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)) \
            FROM pg_constraint c WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('c', 'f', 'p', 'u', 'x') \
                AND c.conrelid <> 0 \
            UNION ALL SELECT i.indrelid::regclass::text, x.relname::text, \
                regexp_replace(pg_get_indexdef(x.oid), 'INDEX .* ON ', 'INDEX ON '), \
                ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)) \
            FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indisunique \
                AND x.relnamespace = 'public'::regnamespace \
                AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.oid AND c.contype IN ('p', 'u'))";
        let rules: Vec<(String, String, String, Vec<String>)> =
            sqlx::query_as(rules).fetch_all(&mut *raw).await.unwrap();
        let triples = async |raw: &mut PgConnection, sql: &'static str| {
            let rows: Vec<(String, String, String)> = sqlx::query_as(sql).fetch_all(raw).await.unwrap();
            rows.into_iter().map(|(table, name, text)| ((table, name), text)).collect::<BTreeMap<_, _>>()
        };
        let triggers = "SELECT tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal";
        let policies = "SELECT tablename::text, policyname::text, concat(cmd, ' ', roles::text, ' ', permissive, ' ', qual, ' ', with_check) \
            FROM pg_policies WHERE schemaname = 'public'";
        let (triggers, policies) = (triples(raw, triggers).await, triples(raw, policies).await);
        let functions = "SELECT oid::regprocedure::text, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace";
        let functions: Vec<(String, String)> = sqlx::query_as(functions).fetch_all(&mut *raw).await.unwrap();
        let granted = "SELECT table_name::text, column_name::text FROM information_schema.column_privileges \
            WHERE grantee = 'bisect_dashboard' AND privilege_type = 'SELECT' AND table_schema = 'public'";
        let granted: Vec<(String, String)> = sqlx::query_as(granted).fetch_all(raw).await.unwrap();
        Self {
            columns: columns
                .into_iter()
                .map(|(table, name, kind, required, filled, generated)| {
                    ((table, name), Column { kind, required, filled, generated })
                })
                .collect(),
            rules: rules.into_iter().map(|(table, name, text, of)| ((table, name), (text, of))).collect(),
            triggers,
            functions: functions.into_iter().collect(),
            policies,
            granted: granted.into_iter().collect(),
        }
    }

    fn has_table(&self, table: &str) -> bool {
        self.columns.keys().any(|(known, _)| known == table)
    }
}

/// What a program that knows `before` may not bear under `after`.
fn hazards(before: &Schema, after: &Schema) -> Vec<String> {
    let mut found = Vec::new();
    for ((table, name), old) in &before.columns {
        match after.columns.get(&(table.clone(), name.clone())) {
            None if !after.has_table(table) => found.push(format!("table {table} is gone")),
            None => found.push(format!("column {table}.{name} is gone")),
            Some(new) => {
                if new.kind != old.kind {
                    found.push(format!("column {table}.{name} was {}, is {}", old.kind, new.kind));
                }
                if new.required && !old.required {
                    found.push(format!("column {table}.{name} may not be null any more"));
                }
                if new.required && old.filled && !new.filled {
                    found.push(format!("column {table}.{name} has no default any more"));
                }
                if new.generated && !old.generated {
                    found.push(format!("column {table}.{name} cannot be written any more"));
                }
            }
        }
    }
    for ((table, name), new) in &after.columns {
        let added = before.has_table(table) && !before.columns.contains_key(&(table.clone(), name.clone()));
        if added && new.required && !new.filled && !new.generated {
            found.push(format!("new column {table}.{name} is NOT NULL without a default"));
        }
    }
    rules(before, after, &mut found);
    for ((table, name), text) in &after.triggers {
        if before.has_table(table) && before.triggers.get(&(table.clone(), name.clone())) != Some(text) {
            found.push(format!("trigger {name} on {table} is new or another one"));
        }
    }
    found.extend(
        before
            .triggers
            .keys()
            .filter(|key| !after.triggers.contains_key(*key))
            .map(|(table, name)| format!("trigger {name} on {table} is gone")),
    );
    for (name, text) in &before.functions {
        if after.functions.get(name) != Some(text) {
            found.push(format!("function {name} is gone or another one"));
        }
    }
    for ((table, name), text) in &before.policies {
        if after.policies.get(&(table.clone(), name.clone())) != Some(text) {
            found.push(format!("policy {name} on {table} is gone or another one"));
        }
    }
    for (table, column) in before.granted.difference(&after.granted) {
        if after.columns.contains_key(&(table.clone(), column.clone())) {
            found.push(format!("viewers may not read {table}.{column} any more"));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Constraints and unique indexes: a new one on what was there refuses old writes, one that is gone may be what an ON CONFLICT
/// names, and a wider one lets in what an older program cannot read.
fn rules(before: &Schema, after: &Schema, found: &mut Vec<String>) {
    for ((table, name), (text, of)) in &after.rules {
        let known = |column: &String| before.columns.contains_key(&(table.clone(), column.clone()));
        match before.rules.get(&(table.clone(), name.clone())) {
            Some((old, _)) if old == text => {}
            Some(_) => found.push(format!("{table}: {name} is another rule: {text}")),
            None if before.has_table(table) && (of.is_empty() || of.iter().any(known)) => {
                found.push(format!("{table}: {name} is a new rule for what was there: {text}"));
            }
            None => {}
        }
    }
    for ((table, name), (text, _)) in &before.rules {
        let gone = !after.rules.contains_key(&(table.clone(), name.clone()));
        if gone && after.has_table(table) && (text.contains("UNIQUE") || text.contains("PRIMARY KEY")) {
            found.push(format!("{table}: {name} is gone, which ON CONFLICT may name"));
        }
    }
}

/// The reason that a migration gives, in its comment.
fn reason(text: &str) -> Option<&str> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix("-- old servers:"))
        .map(str::trim)
        .filter(|why| why.len() >= 20)
}

fn file_of(version: i64) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("migrations");
    let found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&version.to_string()) && name.ends_with(".up.sql")
    });
    std::fs::read_to_string(found.unwrap()).unwrap()
}

async fn first_schema() -> (TestDb, PgConnection) {
    let world = empty_database().await;
    migrations::up(&world.settings, Some(FIRST_SCHEMA)).await.unwrap();
    let raw = world.raw().await;
    (world, raw)
}

#[tokio::test]
async fn each_migration_leaves_what_an_older_server_needs_or_says_why_not() {
    let (world, mut raw) = first_schema().await;
    let mut before = Schema::read(&mut raw).await;
    let mut unexplained = Vec::new();
    for migration in migrations::status(&world.settings).await.unwrap() {
        let version = migration.version;
        if version <= FIRST_SCHEMA {
            continue;
        }
        migrations::up(&world.settings, Some(version)).await.unwrap();
        let after = Schema::read(&mut raw).await;
        let found = hazards(&before, &after);
        let reviewed = REVIEWED.iter().any(|(known, _)| *known == version);
        let text = file_of(version);
        assert!(!reviewed || !found.is_empty(), "{version} was reviewed for nothing");
        if !reviewed && reason(&text).is_none() {
            unexplained.extend(found.iter().map(|what| format!("{version} ({}): {what}", migration.name)));
        }
        before = after;
    }
    assert!(
        unexplained.is_empty(),
        "servers of the last version run under these migrations while the fleet is updated, and may not bear them:\n  {}\n\
         Let them wait for one release more (docs/development.md, \"A migration\"), or say in the .up.sql why it is safe:\n  \
         -- old servers: <why>",
        unexplained.join("\n  ")
    );
}

#[tokio::test]
async fn what_an_older_server_cannot_bear_is_seen() {
    let cases = [
        ("ALTER TABLE probes DROP COLUMN lane", &["column probes.lane is gone"][..]),
        (
            "ALTER TABLE probes RENAME COLUMN lane TO track",
            &["column probes.lane is gone", "NOT NULL without a default"],
        ),
        ("ALTER TABLE job_totals RENAME TO totals", &["table job_totals is gone"]),
        ("DROP TABLE redeliveries", &["table redeliveries is gone"]),
        (
            "ALTER TABLE bisect_jobs ADD COLUMN colour text NOT NULL",
            &["bisect_jobs.colour is NOT NULL without a default"],
        ),
        ("ALTER TABLE bisect_jobs ALTER COLUMN setup SET NOT NULL", &["bisect_jobs.setup may not be null"]),
        ("ALTER TABLE bisect_jobs ALTER COLUMN priority DROP DEFAULT", &["bisect_jobs.priority has no default"]),
        ("ALTER TABLE probes ALTER COLUMN lane TYPE smallint", &["probes.lane was integer, is smallint"]),
        ("ALTER TABLE outbox ALTER COLUMN kind TYPE varchar(8)", &["outbox.kind was text"]),
        ("ALTER TABLE bisect_jobs ADD CHECK (lanes < 9)", &["bisect_jobs: bisect_jobs_lanes_check1 is a new rule"]),
        (
            "ALTER TABLE bisect_jobs ADD COLUMN colour text, ADD CHECK (colour IS NOT NULL OR setup IS NULL)",
            &["bisect_jobs: bisect_jobs_check is a new rule"],
        ),
        (
            "ALTER TABLE probes DROP CONSTRAINT probes_purpose_check, \
             ADD CONSTRAINT probes_purpose_check CHECK (purpose IN ('search', 'proof', 'rite'))",
            &["probes: probes_purpose_check is another rule"],
        ),
        ("CREATE UNIQUE INDEX one_job ON probes (job_id, lane)", &["probes: one_job is a new rule"]),
        ("DROP INDEX outbox_job_kind", &["outbox: outbox_job_kind is gone, which ON CONFLICT"]),
        (
            "ALTER TABLE probes ADD FOREIGN KEY (lane) REFERENCES users (id)",
            &["probes: probes_lane_fkey is a new rule"],
        ),
        ("REVOKE SELECT ON probes FROM bisect_dashboard", &["viewers may not read probes.lane"]),
        ("DROP POLICY viewer ON users", &["policy viewer on users"]),
        ("DROP TRIGGER job_totals_ended ON bisect_jobs", &["trigger job_totals_ended on bisect_jobs is gone"]),
        (
            "CREATE TRIGGER again BEFORE INSERT ON probes FOR EACH ROW EXECUTE FUNCTION bisect_jobs_stay_final()",
            &["trigger again on probes is new"],
        ),
        (
            "CREATE OR REPLACE FUNCTION app_user_id() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 7::bigint'",
            &["function app_user_id() is gone or another one"],
        ),
        // What only adds is nobody's harm.
        (
            "ALTER TABLE bisect_jobs ADD COLUMN colour text CHECK (colour <> ''), ADD COLUMN size int NOT NULL DEFAULT 0",
            &[],
        ),
        ("ALTER TABLE bisect_jobs ADD COLUMN twice int GENERATED ALWAYS AS (lanes * 2) STORED", &[]),
        ("CREATE TABLE colours (name text PRIMARY KEY, job bigint NOT NULL REFERENCES bisect_jobs)", &[]),
        ("CREATE INDEX probes_lane ON probes (lane)", &[]),
        ("DROP INDEX webhook_deliveries_age", &[]),
        ("ALTER TABLE probes ALTER COLUMN lane DROP NOT NULL, ALTER COLUMN lane SET DEFAULT 0", &[]),
    ];
    let (_world, mut raw) = first_schema().await;
    let before = Schema::read(&mut raw).await;
    for (sql, expected) in cases {
        raw.execute("BEGIN").await.unwrap();
        raw.execute(AssertSqlSafe(sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let found = hazards(&before, &Schema::read(&mut raw).await);
        raw.execute("ROLLBACK").await.unwrap();
        assert_eq!(found.is_empty(), expected.is_empty(), "{sql}: {found:?}");
        for what in expected {
            assert!(found.iter().any(|hazard| hazard.contains(what)), "{sql}: {what} is not among {found:?}");
        }
    }
}

#[test]
fn a_reason_is_words_and_stands_in_a_comment_of_its_own() {
    assert_eq!(
        reason("ALTER TABLE x;\n-- old servers: none reads x since the last release\n"),
        Some("none reads x since the last release")
    );
    assert_eq!(reason("-- old servers:\n-- old servers: ok"), None);
    assert_eq!(reason("-- nothing about them"), None);
}
