//! One entry of a manifest: its types and their encoding
//! (`spec/06-manifest.md#entries`). What does not live here: the rules between
//! entries, which the builder checks.

use std::time::{Duration, SystemTime};

use bincode::de::Decoder;
use bincode::de::read::Reader;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use super::ManifestError;
use crate::codec;
use crate::limits::{MAX_MIME, MAX_PATH};
use crate::path::SafePath;
use crate::tree::Hash;

/// A file or directory that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies, relative to the directory that the receiver chooses.
    pub path: SafePath,
    /// What it is.
    pub kind: EntryKind,
    /// When it was last modified, if the sender tells.
    pub modified: Option<Timestamp>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub enum EntryKind {
    /// A directory. What lies in it has entries of its own.
    Directory,
    /// A regular file.
    File {
        /// Length in bytes; absent for a stream whose end is not known yet.
        size: Option<u64>,
        /// Whether its owner may execute it. No other bit of a mode is carried.
        executable: bool,
        /// Media type, a hint for display only: printable ASCII with a `/`, at
        /// most [`MAX_MIME`] bytes (`MF-MIME`).
        mime: Option<String>,
        /// Root of the hash tree over its chunks, if it was hashed ahead.
        root: Option<Hash>,
    },
}

impl EntryKind {
    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        *self == Self::Directory
    }

    /// The length of a file, if it is known; none for a directory.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Directory => None,
            Self::File { size, .. } => *size,
        }
    }
}

/// A point in time as seconds and nanoseconds after 1970-01-01 00:00 UTC,
/// without leap seconds. Seconds may be negative; nanoseconds always count up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Timestamp {
    secs: i64,
    nanos: u32,
}

impl Timestamp {
    /// None if `nanos` is a whole second or more (`MF-TIME-NANOS`).
    pub fn new(secs: i64, nanos: u32) -> Option<Self> {
        (nanos < 1_000_000_000).then_some(Self { secs, nanos })
    }

    /// Whole seconds since 1970, rounded down.
    pub fn secs(self) -> i64 {
        self.secs
    }

    /// Nanoseconds since then, below 1 000 000 000.
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// The same moment, or the nearest that 64 bits of seconds can say.
    pub fn from_system_time(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self {
                secs: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanos: after.subsec_nanos(),
            },
            Err(error) => {
                let before = error.duration();
                let borrow = i64::from(before.subsec_nanos() > 0);
                let secs = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                let nanos = (1_000_000_000 - before.subsec_nanos()) % 1_000_000_000;
                Self { secs: (-secs).saturating_sub(borrow), nanos }
            }
        }
    }

    /// The same moment, if the system's clock type reaches it. A receiver to
    /// whom it does not leaves the file's time alone (`MF-TIME-RANGE`).
    pub fn to_system_time(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.secs.unsigned_abs());
        let second = if self.secs < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(whole)?
        } else {
            SystemTime::UNIX_EPOCH.checked_add(whole)?
        };
        second.checked_add(Duration::from_nanos(self.nanos.into()))
    }
}

impl Entry {
    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind.is_directory()
    }

    /// The length of a file, if it is known; none for a directory.
    pub fn size(&self) -> Option<u64> {
        self.kind.size()
    }

    /// Checks what the types do not: the media type of a caller's entry.
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        match &self.kind {
            EntryKind::File { mime: Some(mime), .. } if !is_mime(mime) => Err(ManifestError::Mime),
            _ => Ok(()),
        }
    }

    /// Reads one entry from the front of `input`, with the bytes it took.
    pub(super) fn decode_prefix(input: &[u8]) -> Result<(Self, usize), ManifestError> {
        let (wire, used) = codec::decode_prefix::<WireEntry>(input)?;
        Ok((wire.check()?, used))
    }
}

fn is_mime(text: &str) -> bool {
    (1..=MAX_MIME).contains(&text.len())
        && text.bytes().all(|b| (0x20..=0x7e).contains(&b))
        && text.contains('/')
}

/// Text whose length is checked before anything is allocated for it.
struct Text<const MAX: usize>(String);

impl<const MAX: usize> Encode for Text<MAX> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.as_str().encode(encoder)
    }
}

impl<C, const MAX: usize> Decode<C> for Text<MAX> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let len = usize::try_from(u64::decode(decoder)?).map_err(|_| DecodeError::LimitExceeded)?;
        if len > MAX {
            return Err(DecodeError::LimitExceeded);
        }
        decoder.claim_bytes_read(len)?;
        let mut bytes = vec![0; len];
        decoder.reader().read(&mut bytes)?;
        String::from_utf8(bytes).map(Self).map_err(|_| DecodeError::Other("text is not UTF-8"))
    }
}

/// An entry as it is on the wire (`MF-ENTRY-LAYOUT`), before its path was checked.
#[derive(Encode)]
struct WireEntry {
    path: Text<MAX_PATH>,
    kind: EntryKind,
    modified: Option<Timestamp>,
}

impl<C> Decode<C> for WireEntry {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (path, kind) = (Decode::decode(decoder)?, Decode::decode(decoder)?);
        Ok(Self { path, kind, modified: Decode::decode(decoder)? })
    }
}

impl WireEntry {
    fn check(self) -> Result<Entry, ManifestError> {
        let path = SafePath::parse(&self.path.0)?;
        Ok(Entry { path, kind: self.kind, modified: self.modified })
    }
}

impl Encode for Entry {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.path.as_str().encode(encoder)?;
        self.kind.encode(encoder)?;
        self.modified.encode(encoder)
    }
}

impl<C> Decode<C> for Entry {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let wire = WireEntry::decode(decoder)?;
        wire.check().map_err(|_| DecodeError::Other("the path is not safe"))
    }
}

impl<C> Decode<C> for EntryKind {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        match u32::decode(decoder)? {
            0 => Ok(Self::Directory),
            1 => {
                let size = Decode::decode(decoder)?;
                let executable = Decode::decode(decoder)?;
                let mime: Option<Text<MAX_MIME>> = Decode::decode(decoder)?;
                let root = Decode::decode(decoder)?;
                if mime.as_ref().is_some_and(|mime| !is_mime(&mime.0)) {
                    return Err(DecodeError::Other("not a media type")); // MF-MIME
                }
                Ok(Self::File { size, executable, mime: mime.map(|mime| mime.0), root })
            }
            _ => Err(DecodeError::Other("unknown kind of entry")), // MF-ENTRY-KIND
        }
    }
}

impl<C> Decode<C> for Timestamp {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (secs, nanos) = (Decode::decode(decoder)?, Decode::decode(decoder)?);
        Self::new(secs, nanos).ok_or(DecodeError::Other("nanoseconds of a second or more"))
    }
}

bincode::impl_borrow_decode!(Entry);
bincode::impl_borrow_decode!(EntryKind);
bincode::impl_borrow_decode!(Timestamp);
