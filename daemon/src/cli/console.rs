//! The admin API of a service with what it tells from: started in one place, stopped in one.

use crate::{
    actions::Actions,
    admin::{self, Admin, Socket},
    changes::Changes,
    config::Config,
    feed::{self, Feed},
    github::Github,
    queue::Queue,
    tail::Tail,
    web::{Live, Streams},
};
use std::time::Duration;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long streams may take to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the console and the pages of one process share.
#[derive(Clone)]
pub(super) struct Watched {
    pub(super) feed: Feed,
    pub(super) tail: Tail,
    pub(super) actions: Actions,
    pub(super) live: Live,
    pub(super) streams: Streams,
}

impl Watched {
    pub(super) fn new(config: &Config, queue: &Queue) -> Self {
        let db = queue.database();
        let actions = Actions {
            db: db.clone(),
            queue: queue.clone(),
            network: config.network,
            max_lanes: config.max_concurrent_probes,
        };
        let (feed, live, streams) = (Feed::default(), Live::default(), Streams::default());
        Self { feed, tail: Tail::new(db.clone()), actions, live, streams }
    }
}

/// The admin API with what it tells from.
pub(super) struct Console {
    stopping: CancellationToken,
    tasks: JoinSet<()>,
}

impl Console {
    /// Serves on `socket` from now on, and keeps going what pages are told from too.
    pub(super) fn start(
        config: &Config,
        Watched { feed, tail, actions, live, streams }: Watched,
        changes: &Changes,
        github: Option<Github>,
        socket: Socket,
    ) -> Self {
        let (queue, stopping) = (&actions.queue, CancellationToken::new());
        let db = queue.database();
        let source = feed::Source {
            db: db.clone(),
            changes: changes.clone(),
            instance: queue.instance().clone(),
            stale_after: config.clocks.stale_after,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(feed.clone().run(source, stopping.clone()));
        tasks.spawn(live.run(feed.clone(), db.clone(), stopping.clone()));
        tasks.spawn(streams.run(db.clone(), stopping.clone()));
        tasks.spawn(tail.clone().run(stopping.clone()));
        let (db, github_url) = (db.clone(), config.github_url.clone());
        let admin = Admin { db, actions, feed, tail, github, github_url, stopping: stopping.clone() };
        tasks.spawn(admin::serve(admin, socket));
        Self { stopping, tasks }
    }

    /// Tells who is connected, and ends. What does not end in time is cut.
    pub(super) async fn stop(mut self) {
        self.stopping.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(LAST_WORDS, ended).await;
    }
}
