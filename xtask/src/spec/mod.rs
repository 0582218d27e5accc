//! The spec as data: its statements, who cites them, and the tables that come
//! from the registry. The words themselves are in `spec/`.

#[cfg(test)]
mod checks;
mod citations;
mod page;
pub(crate) mod report;
mod statements;
pub(crate) mod states;
pub(crate) mod tables;
mod trace;
