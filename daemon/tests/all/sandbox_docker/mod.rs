//! Hostile commands in real containers: each ends told apart, the next probe works, nothing is left.
//!
//! They need Docker and the runner image, and fail without.

mod endings;
mod engine;
mod escapes;
mod exhaustion;
mod neighbours;
mod network;
mod planted;
mod registry;
mod reuse;
mod tampering;
mod world;
