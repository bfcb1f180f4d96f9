//! What people write on GitHub, and what the bot makes of it: a real service, the look-alike, real rows.

mod installations;
mod limits;
mod once;
mod permission;
mod refs;
mod words;
