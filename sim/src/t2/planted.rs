//! Bugs of the world of T2, which a swarm must find.

use serde::{Deserialize, Serialize};

/// A bug put into the world on purpose. It lies in what is around the programs,
/// never in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planted {}

impl Planted {
    /// All of them.
    pub const ALL: &'static [Planted] = &[];
}
