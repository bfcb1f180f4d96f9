//! A small GitHub for tests and the playground: a plain [`World`] with thin HTTP routes for exactly what the bot calls,
//! real git over smart HTTP, signed webhooks, and faults on demand. Every call and answer is checked against GitHub's own
//! schemas. Listens on 127.0.0.1 only, and is never part of the service.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use github_lookalike::{Lookalike, NewRepository, Role, World};
//!
//! let world = World::new()?;
//! let app = world.add_app("bisect-bot", "octo")?;
//! world.add_repository(&NewRepository::new("octo/calc"))?;
//! world.permission("octo/calc", "ada", Some(Role::Write))?;
//! world.install(app.id, "octo", None)?;
//! let issue = world.add_issue("octo/calc", "ada", "add() is wrong", "")?;
//! let github = Lookalike::start(&world).await?;
//! world.set_webhook_url(app.id, "http://127.0.0.1:8000/webhook");
//! world.comment("ada", "octo/calc", issue, "/bisect v1 main make test").await?;
//! world.expect_comment("octo/calc", issue, "queued");
//! world.finish().await?;
//! github.stop().await;
//! # Ok(()) }
//! ```

mod auth;
mod call;
mod connection;
pub mod faults;
mod git;
mod keys;
mod limits;
pub mod manifest;
mod oauth;
mod pages;
pub mod playground;
mod render;
mod routes;
pub mod sample;
pub mod schema;
mod server;
mod smart_http;
mod webhook;
pub mod world;

pub use faults::{Fault, Order, Place, Trouble, WebhookFault};
pub use server::{Lookalike, Running};
pub use webhook::signature;
pub use world::state::Role;
pub use world::{Gate, NewApp, NewOAuthApp, NewRepository, Posted, World, default_permissions};
