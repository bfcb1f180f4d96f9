//! Replies on the look-alike: every answer of GitHub, progress, and who sends what.

mod answers;
mod leases;
mod progress;
mod scene;
