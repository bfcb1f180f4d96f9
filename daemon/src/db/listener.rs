//! LISTEN: one session of its own, through `DATABASE_DIRECT_URL`. By the same driver and options
//! as everything else, so that `sslmode` and `sslrootcert` mean the same.

use super::{Database, DatabaseSettings, DbError, error::Place, notify::Channel, pooler, settings::Which};
use sqlx::{
    Executor,
    postgres::{PgListener, PgPoolOptions},
};
use std::time::Duration;
use tokio::time::timeout;

/// Without a word for so long, the session is asked whether it still lives.
const QUIET: Duration = Duration::from_secs(30);

/// A word of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The channel's name.
    pub channel: String,
    /// What was said.
    pub payload: String,
}

/// Why a URL is of no use for LISTEN.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Such a pooler gives no session that could listen.
    #[error(
        "{variable} leads to a transaction-mode pooler, through which no notification comes: set DATABASE_DIRECT_URL \
         to the database itself or to a session-mode pooler (example: postgresql://user:password@host:5432/bisect)"
    )]
    TransactionPooler {
        /// The variable whose URL was used.
        variable: &'static str,
    },
    /// What one connection says is not heard by the other.
    #[error(
        "a NOTIFY through DATABASE_URL does not arrive through {variable}: they lead to different databases, or \
         {variable} to a transaction-mode pooler; set DATABASE_DIRECT_URL to the database behind DATABASE_URL, or \
         to a session-mode pooler of it (example: postgresql://user:password@host:5432/bisect)"
    )]
    Deaf {
        /// The variable whose URL was used.
        variable: &'static str,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// A session that listens to every [`Channel`].
pub struct Listener {
    inner: PgListener,
    place: Place,
    limit: Duration,
}

impl Listener {
    /// Connects and listens; what is said from now on is heard.
    ///
    /// # Errors
    /// [`DbError`], naming the variable.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, DbError> {
        let (options, place) = settings.options(Which::Direct)?;
        let limit = settings.acquire_timeout;
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(limit)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options);
        let connecting = async {
            let mut inner = PgListener::connect_with(&pool).await?;
            inner.eager_reconnect(false);
            inner.listen_all(Channel::ALL.iter().map(|channel| channel.name())).await?;
            Ok(inner)
        };
        match timeout(limit, connecting).await {
            Ok(Ok(inner)) => Ok(Self { inner, place, limit }),
            Ok(Err(error)) => Err(DbError::unreachable(&place, &error as &sqlx::Error)),
            Err(_) => Err(DbError::timed_out(&place)),
        }
    }

    /// The same, having shown that what another connection says through `db` arrives.
    ///
    /// # Errors
    /// [`ListenError`], which tells which variable to set.
    pub async fn connect_checked(settings: &DatabaseSettings, db: &Database) -> Result<Self, ListenError> {
        let (options, place) = settings.options(Which::Direct)?;
        if pooler::is_transaction_pooler(&options, &place, settings.acquire_timeout).await? {
            return Err(ListenError::TransactionPooler { variable: place.variable });
        }
        let mut listener = Self::connect(settings).await?;
        let word = format!("bisect_hello_{:016x}", rand::random::<u64>());
        let told = |error: sqlx::Error| DbError::from_sqlx(error, &place);
        listener.inner.listen(&word).await.map_err(told)?;
        let mut tx = db.begin().await?;
        tx.execute(sqlx::query("SELECT pg_notify($1, '')").bind(&word)).await?;
        tx.commit().await?;
        let heard = async {
            loop {
                match listener.next().await {
                    Ok(Some(notification)) if notification.channel == word => break Ok(()),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            }
        };
        match timeout(settings.acquire_timeout, heard).await {
            Ok(heard) => heard?,
            Err(_) => return Err(ListenError::Deaf { variable: place.variable }),
        }
        listener.inner.unlisten(&word).await.map_err(told)?;
        Ok(listener)
    }

    /// Waits for the next word; `None` when nothing was said for a while and the session lives.
    ///
    /// # Errors
    /// [`DbError`]: the session is lost, and whatever was said since is too.
    pub async fn next(&mut self) -> Result<Option<Notification>, DbError> {
        match timeout(QUIET, self.inner.try_recv()).await {
            Ok(Ok(Some(word))) => {
                Ok(Some(Notification { channel: word.channel().to_owned(), payload: word.payload().to_owned() }))
            }
            Ok(Ok(None)) => Err(DbError::unreachable(&self.place, "the listening session was cut")),
            Ok(Err(error)) => Err(DbError::unreachable(&self.place, error)),
            Err(_) => match timeout(self.limit, self.inner.execute("SELECT 1")).await {
                Ok(Ok(_)) => Ok(None),
                Ok(Err(error)) => Err(DbError::unreachable(&self.place, error)),
                Err(_) => Err(DbError::timed_out(&self.place)),
            },
        }
    }
}
