//! The clock of the shells. It is tokio's, so that a runtime whose time is
//! simulated tells its own; elsewhere it is the system's. What does not live
//! here: the calendar, by which alone the age of what is kept is told.

use std::time::Instant;

/// Now, by the clock of the runtime that this is called in.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
