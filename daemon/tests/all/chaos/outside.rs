//! Faults of what is around: Docker, GitHub, and the webhooks on their way.

use super::{
    fleet::Fleet,
    plan::Strike,
    processes::{mid_probe, worker},
};
use crate::support::eventually;
use chrono::TimeDelta;
use github_lookalike::{Fault, Order, Trouble, WebhookFault};
use std::time::Duration;

pub async fn docker_away(fleet: &mut Fleet, strike: &Strike) {
    let (_, seen) = mid_probe(fleet, strike).await;
    let place = fleet.place_of(&worker(&seen)).unwrap();
    fleet.members[place].docker.cut();
    let sql = "SELECT EXISTS (SELECT 1 FROM probes WHERE job_id = $1 AND ending = 'stopped')";
    fleet.eyes.see("the run that was cut off is given up", sql, seen.id).await;
    fleet.members[place].docker.mend();
}

/// The first midpoint takes all the disk that a workspace may have; where no file system can give so much at
/// once, all of `/tmp`.
pub async fn disk_full(fleet: &mut Fleet, strike: &Strike) {
    let fill = "if test $n = 4; then fallocate -l 11G big && sleep 600; head -c 600m /dev/zero >/tmp/big; fi;";
    let comment = fleet.ask(strike.asked, strike.via, fill).await;
    let sql = "SELECT EXISTS (SELECT 1 FROM probes p JOIN bisect_jobs j ON j.id = p.job_id \
               WHERE j.comment_id = $1 AND p.ending = 'out_of_disk')";
    fleet.eyes.see("the disk is full", sql, comment).await;
}

pub async fn github_down(fleet: &mut Fleet, strike: &Strike) {
    let before = fleet.said("tried again later");
    fleet.ask(strike.asked, strike.via, "").await;
    fleet.github.go_down().await;
    fleet.says("tried again later", before).await;
    fleet.github.come_back().await;
}

/// Troubles of single calls, which strike so often.
pub async fn github_trouble(fleet: &mut Fleet, strike: &Strike, calls: &str, trouble: Trouble, times: u32) {
    fleet.hub.fault(Fault::new(calls, trouble, times));
    fleet.ask(strike.asked, strike.via, "").await;
    eventually("it has struck", async || (fleet.hub.faults_left() == 0).then_some(())).await;
}

pub const SLOW: Trouble = Trouble::Slow(Duration::from_millis(1500));

pub async fn twice(fleet: &mut Fleet, strike: &Strike, fault: WebhookFault) {
    fleet.hub.webhook_fault(fault);
    let before = fleet.hub.deliveries().len();
    let comment = fleet.ask(strike.asked, strike.via, "").await;
    // Not those of our own answer, which may have come by now, and names `/bisect`, too.
    let about =
        |body: &str| serde_json::from_str::<serde_json::Value>(body).is_ok_and(|it| it["comment"]["id"] == comment);
    let mut statuses: Vec<u16> = fleet.hub.deliveries()[before..]
        .iter()
        .filter(|delivery| delivery.event == "issue_comment" && about(&delivery.body))
        .map(|delivery| delivery.status)
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 202], "one is taken, one is known");
}

/// The command comes after what was said later, and twice.
pub async fn late(fleet: &mut Fleet, strike: &Strike) {
    fleet.hub.hold_webhooks();
    fleet.hub.webhook_fault(WebhookFault::Duplicate);
    fleet.ask(strike.asked, strike.via, "").await;
    fleet.chat("any news?").await;
    fleet.chat("hello?").await;
    let order = if strike.other_way { Order::Reversed } else { Order::Shuffled(strike.via as u64) };
    fleet.hub.release_webhooks(order).await;
}

pub async fn lost(fleet: &mut Fleet, strike: &Strike) {
    fleet.hub.webhook_fault(WebhookFault::Lost);
    fleet.ask(strike.asked, strike.via, "").await;
    assert!(fleet.hub.redeliver_failed().await > 0, "it was lost");
}

/// It stays so until the run's end.
pub async fn clock(fleet: &mut Fleet, strike: &Strike) {
    let minutes = if strike.other_way { 10 } else { -10 };
    fleet.hub.set_clock_offset(TimeDelta::minutes(minutes));
    fleet.ask(strike.asked, strike.via, "").await;
}
