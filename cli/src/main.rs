//! The `passel` command. Everything it does lives in the library of this package.

use std::process::ExitCode;

/// The libraries below an endpoint allocate for each datagram, some more than once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    passel::main()
}
