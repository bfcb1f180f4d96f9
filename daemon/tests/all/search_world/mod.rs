//! A world for the search: generated histories with planted culprits, the same ones as real
//! repositories, and a clock on which bisections are played.

pub mod history;
pub mod planted;
pub mod played;
pub mod repository;
