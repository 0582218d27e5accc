//! What measurements of the protocol have in common: the two sides of a
//! connection in one thread, with no network and no disk between them.

pub mod pair;
