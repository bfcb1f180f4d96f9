//! A workshop: the volume and the checkout container that all lanes of a job share on this engine.
//!
//! It is there as long as one of its lanes is. A checkout container that ends is replaced, and what
//! the lanes have in the volume stays. Once closed it makes nothing any more.

use super::{
    PATIENCE,
    checkout::Checkout,
    container::{self, Place},
    engine::{self, Engine},
    events::Events,
    image::{Image, Images},
    labels::Labels,
    sweep,
};
use crate::sandbox::{Network, ProbeSpec, SandboxError};
use bisect_shared::{Epoch, JobId};
use std::{
    collections::HashMap,
    fmt,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    fs,
    sync::{OnceCell, RwLock, RwLockReadGuard},
};

/// The workshops in use, by job and claim.
#[derive(Clone, Default)]
pub(super) struct Workshops {
    open: Arc<Mutex<HashMap<Key, Open>>>,
}

type Key = (JobId, Epoch);

struct Open {
    workshop: Arc<Workshop>,
    lanes: usize,
}

impl fmt::Debug for Workshops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workshops").finish_non_exhaustive()
    }
}

impl Workshops {
    /// A seat in the workshop of the job. The first one finds it empty: nothing is made here.
    pub(super) fn enter(&self, engine: &Engine, spec: &Arc<ProbeSpec>) -> Seat {
        let key = (spec.job, spec.epoch);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let found = open
            .entry(key)
            .or_insert_with(|| Open { workshop: Arc::new(Workshop::new(engine.clone(), spec.clone())), lanes: 0 });
        found.lanes += 1;
        Seat { workshop: found.workshop.clone(), workshops: self.clone(), key, taken: true }
    }

    /// One lane less; says whether it was the last one.
    fn leave(&self, key: Key) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = open.get_mut(&key) else {
            return false;
        };
        found.lanes -= 1;
        let last = found.lanes == 0;
        if last {
            open.remove(&key);
        }
        last
    }
}

/// A lane's right to use the workshop. With the last one that is dropped the workshop goes, in the background.
pub(super) struct Seat {
    pub(super) workshop: Arc<Workshop>,
    workshops: Workshops,
    key: Key,
    taken: bool,
}

impl Seat {
    /// Gives the seat up; the answer is whether nobody is left, who must close the workshop then.
    pub(super) fn leave(mut self) -> bool {
        self.taken = false;
        self.workshops.leave(self.key)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.taken
            && self.workshops.leave(self.key)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(close_at_last(self.workshop.clone()));
        }
    }
}

/// Closes a workshop; what could not be removed now is tried again in the background.
pub(super) async fn close_for_good(workshop: Arc<Workshop>) -> Result<(), SandboxError> {
    let closed = workshop.close().await;
    if closed.is_err() {
        tokio::spawn(close_at_last(workshop));
    }
    closed
}

/// Often it is a stopped engine that brought us here: it may come back.
async fn close_at_last(workshop: Arc<Workshop>) {
    let mut pause = Duration::from_millis(200);
    while let Err(error) = workshop.close().await {
        if pause > PATIENCE {
            tracing::warn!(workshop.name = workshop.labels.workshop, %error, "workshop left for the sweep");
            return;
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Writes it beside the mirror's own files, once for all jobs on it, and says where it is.
async fn write_hosts(mirror: &Path) -> Result<String, SandboxError> {
    let (kept, fresh) =
        (mirror.join("bisectd-hosts"), mirror.join(format!("bisectd-hosts-{:08x}", rand::random::<u32>())));
    let written = async {
        if fs::read_to_string(&kept).await.is_ok_and(|text| text == HOSTS) {
            return Ok(());
        }
        fs::write(&fresh, HOSTS).await?;
        // Every user of every container reads it, whatever this process lets others read.
        fs::set_permissions(&fresh, PermissionsExt::from_mode(0o644)).await?;
        fs::rename(&fresh, &kept).await
    };
    let failed = |error: std::io::Error| engine::failed("writing the hosts file of test containers", error);
    written.await.map_err(failed)?;
    Ok(kept.to_string_lossy().into_owned())
}

/// What the lanes of one job share.
pub(super) struct Workshop {
    pub(super) engine: Engine,
    spec: Arc<ProbeSpec>,
    labels: Labels,
    image: OnceCell<Image>,
    /// Where the engine's host has the volume, once there is one.
    mountpoint: OnceCell<String>,
    /// What says where `localhost` is, in the one folder of this host that containers see.
    hosts: OnceCell<String>,
    checkout: tokio::sync::Mutex<Option<Arc<Checkout>>>,
    events: Mutex<Option<Arc<Events>>>,
    next_uid: AtomicU32,
    /// Whether it is closed. Whoever makes something holds it meanwhile: closing waits for that.
    closed: RwLock<bool>,
}

impl Workshop {
    fn new(engine: Engine, spec: Arc<ProbeSpec>) -> Self {
        Self {
            labels: Labels::new(&engine.config.owner, &spec),
            engine,
            spec,
            image: OnceCell::new(),
            mountpoint: OnceCell::new(),
            hosts: OnceCell::new(),
            checkout: tokio::sync::Mutex::default(),
            events: Mutex::default(),
            // Far above any that somebody has, and room for all the lanes that a job can have.
            next_uid: AtomicU32::new(rand::random_range(0x7000_0000..=0x7fff_0000)),
            closed: RwLock::new(false),
        }
    }

    /// Nothing is removed while this is held; refused when the workshop is closed.
    pub(super) async fn while_open(&self) -> Result<RwLockReadGuard<'_, bool>, SandboxError> {
        let closed = self.closed.read().await;
        if *closed { Err(engine::failed("using a lane", "its job is over here")) } else { Ok(closed) }
    }

    /// The image of test containers: what it was for the first lane.
    pub(super) async fn image(&self, images: &Images) -> Result<Image, SandboxError> {
        let find = || images.keep(&self.engine, &self.spec);
        self.image.get_or_try_init(find).await.cloned()
    }

    /// A place for a lane, unlike any that was there before.
    pub(super) async fn place(&self, number: u32) -> Result<Place, SandboxError> {
        let _open = self.while_open().await?;
        let make = || self.engine.create_volume(&self.labels.workshop, self.labels.map());
        let mountpoint = self.mountpoint.get_or_try_init(make).await?;
        let uid = self.next_uid.fetch_add(1, Ordering::Relaxed);
        let hosts = match self.spec.network {
            Network::None => Some(self.hosts.get_or_try_init(|| write_hosts(&self.spec.mirror)).await?.clone()),
            Network::Egress => None,
        };
        Ok(Place::new(self.labels.of_lane(number, uid), mountpoint, uid, hosts))
    }

    /// The checkout container, a new one if it ended. That it is made goes on when the caller gives up.
    pub(super) async fn checkout(self: &Arc<Self>) -> Result<Arc<Checkout>, SandboxError> {
        let workshop = self.clone();
        let making = tokio::spawn(async move { workshop.checkout_here().await });
        making.await.unwrap_or_else(|error| Err(engine::failed("starting a checkout container", error)))
    }

    async fn checkout_here(&self) -> Result<Arc<Checkout>, SandboxError> {
        let mut current = self.checkout.lock().await;
        if let Some(checkout) = current.as_ref().filter(|checkout| !checkout.has_ended()) {
            return Ok(checkout.clone());
        }
        let _open = self.while_open().await?;
        let image = self.image.get();
        let volume = &self.labels.workshop;
        let body = container::checkout(&self.engine.config, &self.spec, &self.labels, volume, image);
        let started = Checkout::start(&self.engine, self.labels.name("checkout"), body).await?;
        Ok(current.insert(Arc::new(started)).clone())
    }

    /// What happens to the containers, from before the first one on; followed anew when the engine was away.
    pub(super) fn events(&self) -> Arc<Events> {
        let mut current = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let followed = current.take().filter(|events| !events.are_lost());
        let follow = || Arc::new(Events::follow(&self.engine, &self.labels.workshop));
        current.insert(followed.unwrap_or_else(follow)).clone()
    }

    /// Removes all there is, lanes included. Safe to repeat.
    pub(super) async fn close(&self) -> Result<(), SandboxError> {
        *self.closed.write().await = true;
        drop(self.checkout.lock().await.take());
        sweep::workshop(&self.engine, &self.labels.workshop).await
    }
}
