//! What the tests share.

mod helper;
mod pooler;
mod postgres;
pub mod sample;

pub use helper::Helper;
pub use pooler::Pooler;
pub use postgres::{TestDb, database, empty_database};
