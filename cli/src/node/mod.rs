//! The tokio shell around an endpoint: it owns what the layers below only name.
//! What does not live here: any decision of the protocol.

pub mod udp;
