//! Gets two peers' sealed descriptions across.
