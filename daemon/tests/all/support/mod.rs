//! What the tests share.

mod browser;
mod browser_session;
mod console;
mod counted_link;
mod database_link;
mod docker_link;
mod helper;
mod hub;
mod image;
mod poll;
mod pooler;
mod postgres;
mod program;
mod project;
pub mod sample;
mod service;
mod tools;
mod world;

pub use browser::Browser;
pub use browser_session::{BrowserSession, SITE, cookie, lifetime, location};
pub use console::{Console, Http, Lines, read};
pub use counted_link::CountedLink;
pub use database_link::DatabaseLink;
pub use docker_link::DockerLink;
pub use helper::Helper;
pub use hub::{CALC, Hub};
pub use image::TestImage;
pub use poll::{PATIENCE, eventually};
pub use pooler::Pooler;
pub use postgres::{OwnPostgres, TestDb, database, empty_database};
pub use program::{Program, Ran, Running};
pub use project::{Commit, Project, git_in};
pub use service::{Service, answer, sign};
pub use tools::test_tool;
pub use world::{Gate, World};
