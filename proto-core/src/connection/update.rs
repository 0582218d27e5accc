//! States of a key update and what may lead from one to the next
//! (`RL-UPDATE-STATES`). The table is the spec's, and a test holds it. What a
//! transition does is in `keys`.

use crate::ids::Role;

/// Where a side stands between one epoch and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpdateState {
    /// One epoch, and nothing under way.
    Idle,
    /// Sent KEY_UPDATE.
    Asked,
    /// The initiator, when the responder's KEY_UPDATE crossed its own.
    Crossed,
    /// Sent KEY_UPDATE_ANSWER: opens the next epoch, and sends in the old one.
    Answered,
    /// Had the answer: sends in the next epoch, and has opened nothing of it yet.
    Switched,
    /// Both sides send in the new epoch; what was sent in the old one may still
    /// come.
    Settling,
    /// As before, and a KEY_UPDATE of the peer waits for the end of it.
    Deferred,
}

/// What happens to a key update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpdateEvent {
    /// This side wants new keys.
    Start,
    /// The peer's KEY_UPDATE for the next epoch came.
    Update,
    /// The peer's KEY_UPDATE_ANSWER for that epoch came.
    Answer,
    /// A first record of the new epoch was opened.
    Opened,
    /// Nothing of the old epoch is waited for any longer.
    Settled,
}

impl UpdateState {
    /// All states.
    pub const ALL: [UpdateState; 7] = [
        UpdateState::Idle,
        UpdateState::Asked,
        UpdateState::Crossed,
        UpdateState::Answered,
        UpdateState::Switched,
        UpdateState::Settling,
        UpdateState::Deferred,
    ];

    /// The state after `event` at the side with this role; `None` if the peer
    /// must not do that. Only a responder gives up what it asked for when both
    /// ask at the same time (`RL-UPDATE-CROSSED`).
    pub fn after(self, event: UpdateEvent, role: Role) -> Option<Self> {
        use UpdateEvent::{Answer, Opened, Settled, Start, Update};
        use UpdateState::{Answered, Asked, Crossed, Deferred, Idle, Settling, Switched};
        Some(match (self, event) {
            (Idle, Start) => Asked,
            (Idle, Update) | (Deferred, Settled) => Answered,
            (Asked, Update) => match role {
                Role::Initiator => Crossed,
                Role::Responder => Answered,
            },
            (Asked | Crossed, Answer) => Switched,
            (Answered | Switched, Opened) => Settling,
            (Settling, Update) => Deferred,
            (Settling, Settled) => Idle,
            (_, Update | Answer) => return None,
            (same, Start | Opened | Settled) => same,
        })
    }
}

impl UpdateEvent {
    /// All events.
    pub const ALL: [UpdateEvent; 5] = [
        UpdateEvent::Start,
        UpdateEvent::Update,
        UpdateEvent::Answer,
        UpdateEvent::Opened,
        UpdateEvent::Settled,
    ];
}
