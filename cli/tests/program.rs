//! The program as its users have it: real processes of `passel` on the loopback
//! interface, with real files, signals and disks. Here is the list of what is
//! tried; `process` and `pair` start and stop the processes, and no wait is
//! without a limit. Cargo's own build is used unless `PASSEL_BIN` names another.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "helpers of tests may fail the test, and processes live in real time"
)]

#[path = "program/content.rs"]
mod content;
#[path = "program/namespace.rs"]
mod namespace;
#[path = "program/pair.rs"]
mod pair;
#[path = "program/process.rs"]
mod process;
#[path = "program/terminal.rs"]
mod terminal;

#[path = "program/again.rs"]
mod again;
#[path = "program/answers.rs"]
mod answers;
#[path = "program/bad_disks.rs"]
mod bad_disks;
#[path = "program/big.rs"]
mod big;
#[path = "program/changes.rs"]
mod changes;
#[path = "program/codes.rs"]
mod codes;
#[path = "program/demo.rs"]
mod demo;
#[path = "program/disks.rs"]
mod disks;
#[path = "program/interrupts.rs"]
mod interrupts;
#[path = "program/json.rs"]
mod json;
#[path = "program/lanes.rs"]
mod lanes;
#[path = "program/losses.rs"]
mod losses;
#[path = "program/mistakes.rs"]
mod mistakes;
#[path = "program/pauses.rs"]
mod pauses;
#[path = "program/places.rs"]
mod places;
#[path = "program/policy.rs"]
mod policy;
#[path = "program/secrets.rs"]
mod secrets;
#[path = "program/shapes.rs"]
mod shapes;
#[path = "program/strangers.rs"]
mod strangers;
#[path = "program/streams.rs"]
mod streams;
