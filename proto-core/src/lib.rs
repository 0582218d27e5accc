//! stub: replaced by the connection's author
pub mod codec;
pub mod error;
pub mod ids;
pub mod limits;
pub mod storage;
