//! The admin API: the real service, its real socket, a real database.

mod actions;
mod away;
mod dial;
mod events;
mod log;
mod numbers;
mod routes;
mod socket;
