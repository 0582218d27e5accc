//! The `passel` command.

fn main() {}
