//! DATA and FILE_END: the bytes of files and what they must add up to.

use bincode::{Decode, Encode};

use super::{Body, FrameType};
use crate::ids::{FileIndex, TransferId};

/// DATA (`TR-DATA`): one piece of a chunk. The piece itself lies raw behind the
/// frame and reaches to the end of the record, so DATA is a record's last frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Data {
    /// The transfer.
    pub transfer: TransferId,
    /// The file.
    pub file: FileIndex,
    /// Where in the file the piece begins; a multiple of the piece size.
    pub offset: u64,
    /// The chunk's leaf hash, on the piece that ends the chunk and on no other.
    pub leaf: Option<[u8; 32]>,
}

impl Body for Data {
    const TYPE: FrameType = FrameType::Data;
}

/// FILE_END (`TR-FILE-END`): a file's exact length and root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FileEnd {
    /// The transfer.
    pub transfer: TransferId,
    /// The file.
    pub file: FileIndex,
    /// Its length in bytes.
    pub size: u64,
    /// The root of its tree (`MF-TREE-SHAPE`).
    pub root: [u8; 32],
}

impl Body for FileEnd {
    const TYPE: FrameType = FrameType::FileEnd;
}
