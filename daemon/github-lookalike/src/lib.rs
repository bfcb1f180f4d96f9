//! A small GitHub for tests and the playground.
