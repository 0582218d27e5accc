//! Walks through the frames of an opened record.

use super::{Frame, FrameType, is_ignorable};
use crate::codec::{self, CodecError};
use crate::error::{Error, ErrorCode};
use crate::ids::Channel;
use crate::limits::MAX_FRAME_BODY;

/// Reads one record's plaintext, frame by frame, borrowing from it.
///
/// ```
/// use passel_proto::frame::{Frame, FrameReader, FrameWriter, Ping};
/// use passel_proto::ids::Channel;
///
/// let mut plaintext = Vec::new();
/// FrameWriter::new(&mut plaintext, 0).frame(&Ping { token: 7 }.into()).unwrap();
/// let mut reader = FrameReader::new(&plaintext, Channel::Control);
/// assert_eq!(reader.next().unwrap(), Some(Frame::Ping(Ping { token: 7 })));
/// assert_eq!(reader.next().unwrap(), None);
/// ```
#[derive(Debug)]
pub struct FrameReader<'a> {
    rest: &'a [u8],
    channel: Channel,
    finished: bool,
}

impl<'a> FrameReader<'a> {
    /// A reader of the plaintext of a record that came over `channel`.
    pub fn new(plaintext: &'a [u8], channel: Channel) -> Self {
        Self { rest: plaintext, channel, finished: false }
    }

    /// The next frame (`WF-FRAME-ORDER`), or `None` at the end. Unknown ignorable frames are
    /// passed over. After DATA the reader is at its end and what is left is
    /// the [`payload`](Self::payload).
    ///
    /// # Errors
    ///
    /// All are the peer's fault: bytes that do not decode canonically, a frame
    /// on a channel where it is not allowed, an unknown critical frame.
    #[allow(clippy::should_implement_trait)] // it borrows, and it can fail
    pub fn next(&mut self) -> Result<Option<Frame>, Error> {
        while !self.finished && !self.rest.is_empty() {
            let id: u16 = self.number()?;
            let length: u32 = self.number()?;
            let length = length as usize;
            if length > MAX_FRAME_BODY {
                // WF-FRAME-LENGTH
                return Err(malformed(CodecError::TooLong));
            }
            let Some((body, rest)) = self.rest.split_at_checked(length) else {
                return Err(malformed(CodecError::Truncated));
            };
            self.rest = rest;
            match FrameType::from_id(id) {
                Some(kind) if kind.channels().contains(&self.channel) => {
                    // WF-DATA-LAST: what follows DATA is its payload.
                    self.finished = kind == FrameType::Data;
                    return Frame::decode(kind, body).map(Some).map_err(malformed);
                }
                Some(kind) => {
                    // WF-FRAME-CHANNEL
                    return Err(Error::peer(
                        ErrorCode::ProtocolViolation,
                        format!("{} came over the channel {}", kind.name(), self.channel.name()),
                    ));
                }
                // WF-FRAME-UNKNOWN
                None if is_ignorable(id) => {}
                None => {
                    return Err(Error::peer(
                        ErrorCode::UnknownCriticalFrame,
                        format!("the frame type 0x{id:02x} is not known"),
                    ));
                }
            }
        }
        Ok(None)
    }

    /// The raw bytes behind a DATA frame; empty before one was read.
    pub fn payload(&self) -> &'a [u8] {
        if self.finished { self.rest } else { &[] }
    }

    fn number<T: bincode::Encode + bincode::Decode<()>>(&mut self) -> Result<T, Error> {
        let (number, used) = codec::decode_prefix(self.rest).map_err(malformed)?;
        self.rest = self.rest.get(used..).unwrap_or_default();
        Ok(number)
    }
}

/// WF-REFUSE-CODE
fn malformed(error: CodecError) -> Error {
    Error::peer(ErrorCode::Malformed, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameWriter, Ping, samples};

    fn read(bytes: &[u8], channel: Channel) -> Result<usize, ErrorCode> {
        let mut reader = FrameReader::new(bytes, channel);
        let mut count = 0;
        while reader.next().map_err(|error| error.code)?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn unknown_frames_are_skipped_when_odd_and_refused_when_even() {
        let mut record = vec![0x7f, 3, 1, 2, 3];
        FrameWriter::new(&mut record, 0).frame(&Ping { token: 1 }.into()).unwrap();
        assert_eq!(read(&record, Channel::Control), Ok(1));
        record[0] = 0x7e;
        assert_eq!(read(&record, Channel::Control), Err(ErrorCode::UnknownCriticalFrame));
    }

    #[test]
    fn a_frame_on_the_wrong_channel_is_refused() {
        for frame in samples::all() {
            let mut record = Vec::new();
            FrameWriter::new(&mut record, 0).frame(&frame).unwrap();
            for channel in Channel::ALL {
                let allowed = frame.frame_type().channels().contains(&channel);
                assert_eq!(read(&record, channel).is_ok(), allowed, "{frame:?} on {channel:?}");
            }
        }
    }

    #[test]
    fn every_truncation_of_every_frame_is_refused() {
        for frame in samples::all() {
            let mut record = Vec::new();
            FrameWriter::new(&mut record, 0).frame(&frame).unwrap();
            for length in 1..record.len() {
                assert!(read(&record[..length], frame.frame_type().channels()[0]).is_err());
            }
        }
    }
}
