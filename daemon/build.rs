//! Migrations are embedded at compile time, and lie outside this package.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
