//! CANCEL, COMPLETE, RECEIPT and FILE_FAILED: how transfers and files end.

use bincode::{Decode, Encode};

use super::{Body, FrameType, check_text};
use crate::codec::CodecError;
use crate::ids::{FileIndex, TransferId};
use crate::limits::MAX_REASON_TEXT;

/// Most failed files that a RECEIPT names; the count is exact all the same.
pub(crate) const MAX_LISTED_FAILURES: usize = 1024;

/// CANCEL (`TR-CANCEL`): the transfer ends here, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Cancel {
    /// The transfer.
    pub transfer: TransferId,
    /// Why, from the registry.
    pub code: u16,
    /// Why, for a person; may be empty.
    pub text: String,
}

impl Body for Cancel {
    const TYPE: FrameType = FrameType::Cancel;

    fn check(&self) -> Result<(), CodecError> {
        check_text(&self.text, MAX_REASON_TEXT)
    }
}

/// COMPLETE (`TR-COMPLETE`): a statement has been made on every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Complete {
    /// The transfer.
    pub transfer: TransferId,
    /// Digest over all statements (`TR-STATEMENTS`).
    pub statements: [u8; 32],
}

impl Body for Complete {
    const TYPE: FrameType = FrameType::Complete;
}

/// A file that did not arrive, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FailedFile {
    /// The file.
    pub file: FileIndex,
    /// Why, from the registry.
    pub code: u16,
}

/// RECEIPT (`TR-RECEIPT`): all that could be stored is stored and durable.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The transfer.
    pub transfer: TransferId,
    /// Files that arrived.
    pub delivered: u32,
    /// Files that did not.
    pub failed: u32,
    /// The first of those that did not, in order.
    pub listed: Vec<FailedFile>,
    /// The COMPLETE's digest, as the receiver computed it itself.
    pub statements: [u8; 32],
    /// MAC over all fields before it, under the session's receipt key.
    pub mac: [u8; 32],
}

impl Body for Receipt {
    const TYPE: FrameType = FrameType::Receipt;

    fn check(&self) -> Result<(), CodecError> {
        if self.listed.len() > MAX_LISTED_FAILURES {
            return Err(CodecError::TooLong);
        }
        let ascending = self.listed.windows(2).all(|pair| pair[0].file < pair[1].file);
        if ascending && self.listed.len() <= self.failed as usize {
            Ok(())
        } else {
            Err(CodecError::Invalid)
        }
    }
}

/// FILE_FAILED (`TR-FILE-FAILED`): one file ends, the others go on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FileFailed {
    /// The transfer.
    pub transfer: TransferId,
    /// The file.
    pub file: FileIndex,
    /// Why, from the registry.
    pub code: u16,
    /// Why, for a person; may be empty.
    pub text: String,
}

impl Body for FileFailed {
    const TYPE: FrameType = FrameType::FileFailed;

    fn check(&self) -> Result<(), CodecError> {
        check_text(&self.text, MAX_REASON_TEXT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_refused() {
        let cancel = |length| Cancel { transfer: TransferId(0), code: 0, text: "x".repeat(length) };
        assert_eq!(cancel(MAX_REASON_TEXT).check(), Ok(()));
        assert_eq!(cancel(MAX_REASON_TEXT + 1).check(), Err(CodecError::TooLong));
    }

    #[test]
    fn a_receipt_lists_failures_in_order_and_no_more_than_it_counts() {
        let receipt = |failed, files: &[u32]| Receipt {
            transfer: TransferId(0),
            delivered: 0,
            failed,
            listed: files
                .iter()
                .map(|&file| FailedFile { file: FileIndex(file), code: 1 })
                .collect(),
            statements: [0; 32],
            mac: [0; 32],
        };
        assert_eq!(receipt(2, &[1, 2]).check(), Ok(()));
        assert!(receipt(2, &[2, 1]).check().is_err());
        assert!(receipt(2, &[1, 1]).check().is_err());
        assert!(receipt(1, &[1, 2]).check().is_err());
    }
}
