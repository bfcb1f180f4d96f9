//! `POST /webhook`: a signed body becomes a row of the inbox, and only then an answer.
//!
//! Knows `db` and the secrets; what a delivery means is decided by `intake`, later and as often as
//! needed.

pub mod event;
