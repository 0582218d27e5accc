//! A run of T2 as data: what is sent, with which options, over which network,
//! and what goes wrong. How one is drawn is in `draw`.

use serde::{Deserialize, Serialize};

use super::planted::Planted;
use super::stage::Stage;
use crate::plan::PlanError;

/// The host of the rendezvous.
pub const RENDEZVOUS: usize = 0;
/// The host of `passel send`.
pub const SENDER: usize = 1;
/// The host of `passel recv`.
pub const RECEIVER: usize = 2;

/// By which a saved plan is told from another tier's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// This one.
    T2,
}

/// A run as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// T2.
    pub tier: Tier,
    /// The network and what goes wrong.
    pub stage: Stage,
    /// Sizes of the files that are sent, in bytes.
    pub files: Vec<u64>,
    /// Bytes a second at which the sender sends, so that faults have the time to
    /// come in between; 0 for no limit.
    pub limit: u64,
    /// Whether the sender is to survive an interruption.
    pub keep: bool,
    /// Whether the receiver is given the code in place of the link.
    pub code: bool,
    /// Seconds of silence after which a connection counts as lost.
    pub silence: u64,
    /// How often both try to connect again.
    pub attempts: u32,
    /// Most associations that both use side by side, 1 to 32.
    pub lanes: u16,
    /// A bug of the world itself; none but when the invariants are tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<Planted>,
}

impl Plan {
    /// Reads a plan from JSON.
    ///
    /// # Errors
    ///
    /// The text is no plan of this tier.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        Ok(serde_json::from_str(text)?)
    }

    /// The plan as JSON, over several lines.
    ///
    /// # Errors
    ///
    /// None is known; the encoder's are handed on.
    pub fn to_json(&self) -> Result<String, PlanError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().sum()
    }
}
