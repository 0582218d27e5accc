//! The harness that the tests against hostile input and the fuzz targets share:
//! what they feed, to whom, and what must hold. How much is fed lives with them.

#![allow(dead_code, unreachable_pub)] // each user has a part of it
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how it complains
#![allow(clippy::cast_possible_truncation)] // of random numbers and small lengths

pub mod attack;
pub mod choices;
pub mod decoders;
pub mod forger;
pub mod moves;
pub mod samples;
pub mod victim;
