//! Our pool as one of Rocket's databases. `rocket_db_pools` brings sqlx 0.7; this is 0.9.

use super::{Database, DatabaseSettings, DbError, Tx};
use rocket::figment::Figment;

/// Rocket's handle of the database: `RocketDb::fetch(&rocket)` in the program, and the guard
/// `Connection<RocketDb>`, one transaction, in a route.
#[derive(Debug, rocket_db_pools::Database)]
#[database("bisect")]
pub struct RocketDb(RocketPool);

/// The pool inside it. Clone the [`Database`] out of it: there is one pool per process.
#[derive(Debug)]
pub struct RocketPool(Database);

impl RocketPool {
    /// The database. It is closed by its own [`Database::close`], once `launch().await` has returned.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.0
    }
}

#[rocket::async_trait]
impl rocket_db_pools::Pool for RocketPool {
    type Connection = Tx;
    type Error = rocket_db_pools::Error<DbError>;

    async fn init(figment: &Figment) -> Result<Self, Self::Error> {
        let config: rocket_db_pools::Config = figment.extract()?;
        let mut settings = DatabaseSettings::new(config.url);
        settings.max_connections = u32::try_from(config.max_connections).unwrap_or(u32::MAX);
        settings.acquire_timeout = std::time::Duration::from_secs(config.connect_timeout);
        settings.transaction_pooler = figment.extract_inner("transaction_pooler").ok();
        Database::connect(&settings).await.map(Self).map_err(rocket_db_pools::Error::Init)
    }

    async fn get(&self) -> Result<Tx, Self::Error> {
        self.0.begin().await.map_err(rocket_db_pools::Error::Get)
    }

    /// Does nothing: Rocket calls it at the start of its shutdown, while jobs are still handed
    /// over. Call [`Database::close`] once `launch().await` has returned.
    async fn close(&self) {}
}
