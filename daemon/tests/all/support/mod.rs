//! What the tests share.

mod poll;
mod postgres;
mod program;
mod project;
mod world;

pub use poll::{PATIENCE, eventually};
pub use postgres::{TestDb, database, empty_database};
pub use program::{Program, Ran, Running};
pub use project::Project;
pub use world::{Gate, World};
