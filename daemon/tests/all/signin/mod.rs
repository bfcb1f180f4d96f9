//! Signing in and out, and who sees what: the real daemon, the look-alike GitHub, a browser without scripts.

mod access;
mod keys;
mod sessions;
mod way;
