//! Faults of the database and of the ways to it.

use super::{
    fleet::{Fleet, INSTANCES},
    plan::Strike,
    processes::{mid_probe, worker},
};
use crate::support::{OwnPostgres, eventually};
use sqlx::{AssertSqlSafe, Executor};

pub async fn restart(fleet: &mut Fleet, postgres: &mut OwnPostgres, strike: &Strike) {
    mid_probe(fleet, strike).await;
    postgres.stop().await;
    if strike.other_way {
        // A webhook that comes meanwhile is not taken, and GitHub hears so.
        fleet.chat("still there?").await;
    }
    postgres.start_again().await;
}

pub async fn crash(fleet: &mut Fleet, postgres: &OwnPostgres, strike: &Strike) {
    mid_probe(fleet, strike).await;
    postgres.crash().await;
}

/// Nobody is told of the new job, and somebody takes it nevertheless.
pub async fn cut_listeners(fleet: &mut Fleet, strike: &Strike) {
    for place in 0..INSTANCES {
        fleet.members[place].listener.cut();
        eventually("it polls", async || fleet.log_of(place).contains("the listening session is lost").then_some(()))
            .await;
    }
    let comment = fleet.ask(strike.asked, strike.via, "").await;
    fleet.eyes.mid_probe(comment).await;
    for member in &mut fleet.members {
        member.listener.mend();
    }
}

pub async fn cut_all(fleet: &mut Fleet, strike: &Strike) {
    mid_probe(fleet, strike).await;
    for _ in 0..2 {
        for member in &mut fleet.members {
            member.database.cut();
            member.listener.cut();
        }
        tokio::task::yield_now().await;
        for member in &mut fleet.members {
            member.database.mend();
            member.listener.mend();
        }
    }
}

/// The worker cannot say that it lives: somebody else goes on, and it stops by itself.
pub async fn unreachable(fleet: &mut Fleet, strike: &Strike, silent: bool) {
    let (comment, seen) = mid_probe(fleet, strike).await;
    let place = fleet.place_of(&worker(&seen)).unwrap();
    fleet.route(Fleet::beside(place));
    let member = &mut fleet.members[place];
    for link in [&mut member.database, &mut member.listener] {
        if silent {
            link.stall();
        } else {
            link.cut();
        }
    }
    eventually("another one claims its job", async || {
        fleet.eyes.find(comment).await.filter(|now| now.claim_epoch > seen.claim_epoch)
    })
    .await;
    eventually("it stops by itself", async || {
        fleet.log_of(place).contains("the lease is lost: stopping its containers").then_some(())
    })
    .await;
    let member = &mut fleet.members[place];
    member.database.mend();
    member.listener.mend();
}

/// As after a failover to a standby, until that is promoted.
pub async fn read_only(fleet: &mut Fleet, postgres: &OwnPostgres, strike: &Strike) {
    mid_probe(fleet, strike).await;
    let before = fleet.said("read-only transaction");
    let mut admin = postgres.admin().await;
    let name = database_name(fleet);
    let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    admin.execute(AssertSqlSafe(set)).await.unwrap();
    let everybody = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    admin.execute(AssertSqlSafe(everybody.clone())).await.unwrap();
    if strike.other_way {
        fleet.chat("can anybody write?").await;
    }
    fleet.says("read-only transaction", before).await;
    let reset = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    admin.execute(AssertSqlSafe(reset)).await.unwrap();
    admin.execute(AssertSqlSafe(everybody)).await.unwrap();
}

fn database_name(fleet: &Fleet) -> String {
    let options: sqlx::postgres::PgConnectOptions = fleet.world.db.url().parse().unwrap();
    options.get_database().unwrap().to_owned()
}
