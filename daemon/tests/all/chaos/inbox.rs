//! The database goes away while a delivery is worked off: when it is back, what became of the delivery is written.

use super::{
    fleet::{Fleet, Settings},
    plan::Asked,
    processes::works_off,
};
use crate::support::OwnPostgres;
use github_lookalike::Place;

#[tokio::test]
async fn a_delivery_whose_end_could_not_be_written_does_not_wait_for_its_lease() {
    let postgres = OwnPostgres::start().await;
    let settings = Settings { stale_after: "100", jobs: ["2", "3"] };
    let mut fleet = Fleet::start(&postgres, "inbox".into(), settings).await;
    // The lease is five minutes: longer than anything is waited for here.
    let gate = fleet.hub.gate("GET /repos/*/*/collaborators/*/permission", Place::BeforeCall);
    let comment = fleet.ask(Asked { repository: 0, culprit: 3, lanes: 1 }, 0, "").await;
    let place = works_off(&mut fleet, comment, &gate).await;
    let before = fleet.said("a delivery is tried again later");
    fleet.members[place].database.cut();
    gate.open();
    fleet.says("a delivery is tried again later", before).await;
    fleet.members[place].database.mend();
    fleet.eyes.job(comment).await;
    fleet.comes_to_rest().await;
    fleet.holds().await;
}
