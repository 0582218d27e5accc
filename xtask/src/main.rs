//! Project chores: `cargo xtask ci`, `cargo xtask test`.

fn main() {}
