//! One endpoint of a passel connection over WebRTC, without I/O: lanes over
//! str0m, what goes through the signaling, and the datagrams between. Sockets,
//! files, the clock and entropy are the shell's; the protocol above ordered
//! messages is `passel-proto`'s.

pub mod carrier;
pub mod datagram;
pub mod description;
pub mod endpoint;
pub mod ice;
pub mod lane;
