//! What one run does, drawn from its seed: which faults, at which jobs, and who is hit. The same seed
//! gives the same plan; when each thing happens is the machine's to decide.

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::fmt;

/// Everything that goes wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `kill -9` while a stored delivery is being worked off.
    KillAfterDelivery,
    /// `kill -9` between the claim and the first probe.
    KillAfterClaim,
    /// `kill -9` while a command runs in its container.
    KillMidProbe,
    /// `kill -9` between a recorded verdict and the next probe.
    KillAfterVerdict,
    /// `kill -9` after GitHub has the comment and before its number is recorded.
    KillAfterComment,
    /// `kill -9` of a worker that was told to stop, while or just after it gives its job back.
    KillDuringHandover,
    /// SIGSTOP for longer than the stale limit, then SIGCONT.
    StopPastStale,
    /// SIGTERM under load, and a new process in its place.
    Terminate,
    /// PostgreSQL is stopped and started.
    DatabaseRestart,
    /// PostgreSQL is killed.
    DatabaseCrash,
    /// Only the listening sessions are cut.
    ListenersCut,
    /// Every connection to the database is cut.
    ConnectionsCut,
    /// One instance cannot reach the database for longer than the stale limit: refused.
    DatabaseRefused,
    /// The same, but nothing is answered.
    DatabaseSilent,
    /// The database takes no writes for a while.
    DatabaseReadOnly,
    /// One instance's Docker goes away in the middle of a probe.
    DockerAway,
    /// A command fills its workspace.
    DiskFull,
    /// GitHub refuses connections for a while.
    GithubDown,
    /// GitHub answers 502 a few times.
    GithubErrors,
    /// GitHub takes its time.
    GithubSlow,
    /// GitHub answers 429 with `retry-after`.
    RateLimited,
    /// A comment is created and the answer is lost.
    AnswerLost,
    /// An edit is made and the answer is lost.
    EditAnswerLost,
    /// A webhook comes twice at the same moment.
    WebhookTwice,
    /// A webhook comes again under another delivery id.
    WebhookAgain,
    /// Webhooks come late and in another order.
    WebhooksLate,
    /// A webhook does not arrive, and somebody has it sent again.
    WebhookLost,
    /// GitHub's clock jumps by ten minutes.
    ClockOff,
}

impl Kind {
    pub const ALL: [Self; 28] = [
        Self::KillAfterDelivery,
        Self::KillAfterClaim,
        Self::KillMidProbe,
        Self::KillAfterVerdict,
        Self::KillAfterComment,
        Self::KillDuringHandover,
        Self::StopPastStale,
        Self::Terminate,
        Self::DatabaseRestart,
        Self::DatabaseCrash,
        Self::ListenersCut,
        Self::ConnectionsCut,
        Self::DatabaseRefused,
        Self::DatabaseSilent,
        Self::DatabaseReadOnly,
        Self::DockerAway,
        Self::DiskFull,
        Self::GithubDown,
        Self::GithubErrors,
        Self::GithubSlow,
        Self::RateLimited,
        Self::AnswerLost,
        Self::EditAnswerLost,
        Self::WebhookTwice,
        Self::WebhookAgain,
        Self::WebhooksLate,
        Self::WebhookLost,
        Self::ClockOff,
    ];
}

/// How many faults one run has.
pub const STRIKES: usize = 2;
/// So many runs in a row have every kind of fault.
pub const DECK: u64 = (Kind::ALL.len() / STRIKES) as u64;

/// A bisection that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Index of the repository.
    pub repository: usize,
    /// The number of the first bad commit.
    pub culprit: usize,
    pub lanes: usize,
}

/// One fault and the job it is meant for.
#[derive(Debug, Clone, Copy)]
pub struct Strike {
    pub kind: Kind,
    pub asked: Asked,
    /// The instance that takes the webhook.
    pub via: usize,
    /// Whether a dead instance's place is taken at once, or only at the end of the run.
    pub replaced: bool,
    /// Which of two ways, where there are two.
    pub other_way: bool,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub strikes: Vec<Strike>,
    /// A job that nothing is meant for.
    pub bystander: Asked,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        // Dealt like cards, so that few runs have them all.
        let mut deck = Kind::ALL;
        deck.shuffle(&mut StdRng::seed_from_u64(seed / DECK));
        let place = (seed % DECK) as usize * STRIKES;
        let mut rng = StdRng::seed_from_u64(seed ^ 0xb15e_c7ed);
        let strikes = deck[place..place + STRIKES].iter().map(|kind| Strike {
            kind: *kind,
            asked: if *kind == Kind::DiskFull { DISK_FULL } else { asked(&mut rng) },
            via: rng.random_range(0..3),
            replaced: rng.random(),
            other_way: rng.random(),
        });
        let strikes = strikes.collect();
        Self { seed, strikes, bystander: asked(&mut rng) }
    }
}

/// The first midpoint, commit 4, cannot be tested: the culprit is on the good side of it.
const DISK_FULL: Asked = Asked { repository: 0, culprit: 2, lanes: 1 };

fn asked(rng: &mut StdRng) -> Asked {
    let repository = rng.random_range(0..2);
    let culprits = super::fleet::CULPRITS[repository];
    Asked { repository, culprit: culprits[rng.random_range(0..culprits.len())], lanes: rng.random_range(1..3) }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}:", self.seed)?;
        for strike in &self.strikes {
            write!(f, " {:?} (via {}", strike.kind, strike.via)?;
            write!(f, "{}", if strike.replaced { ", replaced at once" } else { "" })?;
            write!(f, "{})", if strike.other_way { ", the other way" } else { "" })?;
        }
        Ok(())
    }
}
