//! The `passel` command. Everything it does lives in the library of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    passel::main()
}
