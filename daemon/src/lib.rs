//! The Bisect Bot daemon.
