//! Points at which calls stand still until a test lets them pass: so a test reaches a moment in the middle of
//! a call without guessing when that is.

use super::World;
use crate::faults::{Pattern, Place};
use std::time::Duration;

/// A closed gate in [`State`](super::state::State).
#[derive(Debug)]
pub(crate) struct Closed {
    id: i64,
    pattern: Pattern,
    place: Place,
    arrived: u32,
}

/// Calls that match stand still here until it is opened or dropped.
#[derive(Debug)]
pub struct Gate {
    world: World,
    id: i64,
}

impl World {
    /// Closes a gate; `pattern` as for [`crate::Fault::new`]. A caller that goes away meanwhile is not served any more
    /// ([`Place::BeforeCall`]), or has been ([`Place::BeforeAnswer`]).
    #[must_use]
    pub fn gate(&self, pattern: &str, place: Place) -> Gate {
        let pattern = Pattern(pattern.to_owned());
        let id = self.change(|state| {
            let id = state.next_id();
            state.gates.push(Closed { id, pattern, place, arrived: 0 });
            id
        });
        Gate { world: self.clone(), id }
    }

    /// Waits at every gate that is closed for this call.
    pub(crate) async fn pass(&self, place: Place, method: &str, path: &str) {
        let mut changed = self.inner.changed.subscribe();
        let stops = |gate: &&Closed| gate.place == place && gate.pattern.matches(method, path);
        let closed = || self.read().gates.iter().find(stops).map(|gate| gate.id);
        while let Some(id) = closed() {
            self.change(|state| {
                state.gates.iter_mut().filter(|gate| gate.id == id).for_each(|gate| gate.arrived += 1);
            });
            // The sender lives as long as the world.
            let _open = changed.wait_for(|_| !self.read().gates.iter().any(|gate| gate.id == id)).await;
        }
    }
}

impl Gate {
    /// Returns when a call stands here.
    ///
    /// # Errors
    /// When none came within `limit`.
    pub async fn reached(&self, limit: Duration) -> anyhow::Result<()> {
        let arrived = |world: &World| {
            world.read().gates.iter().find(|gate| gate.id == self.id).filter(|gate| gate.arrived > 0).map(drop)
        };
        self.world.eventually("a call stands at the gate", limit, arrived).await
    }

    /// Everybody may pass.
    pub fn open(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.world.change(|state| state.gates.retain(|gate| gate.id != self.id));
    }
}
