//! What the tests share.

mod postgres;

pub use postgres::{TestDb, database, empty_database};
