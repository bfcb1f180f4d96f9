//! The log of a job: kept out of memory, searched a little at a time, read by the line.
//!
//! ```text
//! pieces ─▶ pen     bytes → clean lines, one pen for each run
//!           store   lines → a file without a name, and an index
//!           search  finds
//!           window  which lines are on the screen
//!           paint   lines → parts in colours
//! ```

mod index;
pub mod paint;
mod pen;
mod search;
mod sgr;
mod store;
mod window;

pub use search::{Needle, Search};
pub use sgr::Sgr;
pub use store::{Meta, Near, Store};
pub use window::{Place, Window};
