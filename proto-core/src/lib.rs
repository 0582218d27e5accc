//! stub: replaced by the connection's author
pub mod codec;
mod codepoint;
pub mod error;
pub mod escape;
pub mod ids;
pub mod limits;
pub mod manifest;
pub mod path;
pub mod ranges;
pub mod storage;
pub mod tree;
