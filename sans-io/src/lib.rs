//! One endpoint of a passel connection over WebRTC, without I/O.
