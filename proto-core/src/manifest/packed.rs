//! Encoded entries in little memory. Names that follow one another begin alike,
//! and files of a directory are often of one media type, so an entry is kept as
//! what differs from the one before it; every few entries it begins anew, so that
//! any entry is found quickly. What comes out are the very bytes that went in.
//! What does not live here: what the bytes mean.

/// Entries that are told by the one before them, and the one that is not.
const BLOCK: u32 = 16;

/// What the next entry is told by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Before {
    path: Vec<u8>,
    /// The last media type, with the bytes that say that there is one.
    mime: Vec<u8>,
}

/// Encodings of entries, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    /// Where each block begins.
    blocks: Vec<u32>,
    len: u32,
    /// Bytes of the encodings as they came.
    pub(super) encoded_len: usize,
    before: Before,
}

impl Packed {
    /// Number of entries.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Bytes of memory that were set aside.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity() + 4 * self.blocks.capacity()
    }

    /// Adds an entry by its canonical encoding, which begins with a path of
    /// `path_len` bytes. False if there is no room for it.
    #[must_use]
    pub(super) fn push(&mut self, encoding: &[u8], path_len: usize) -> bool {
        if self.len.is_multiple_of(BLOCK) {
            let Ok(start) = u32::try_from(self.bytes.len()) else { return false };
            self.blocks.push(start);
            self.before = Before::default();
        }
        let (path, tail) = encoding
            .get(header_len(path_len)..)
            .and_then(|named| named.split_at_checked(path_len))
            .unwrap_or_default();
        let same = |(a, b): &(&u8, &u8)| a == b;
        let shared = path.iter().zip(&self.before.path).take_while(same).count();
        put(&mut self.bytes, shared);
        put(&mut self.bytes, path_len - shared);
        self.bytes.extend_from_slice(path.get(shared..).unwrap_or_default());
        let mime = mime_place(tail);
        let (ahead, behind) = tail.split_at_checked(mime.start).unwrap_or((tail, &[]));
        let (mime, behind) = behind.split_at_checked(mime.len()).unwrap_or((behind, &[]));
        if !mime.is_empty() && *mime == *self.before.mime {
            put(&mut self.bytes, (ahead.len() + behind.len()) * 2 + 1);
            self.bytes.extend_from_slice(ahead);
            self.bytes.extend_from_slice(behind);
        } else {
            put(&mut self.bytes, tail.len() * 2);
            self.bytes.extend_from_slice(tail);
            replace(&mut self.before.mime, 0, mime);
        }
        replace(&mut self.before.path, shared, path.get(shared..).unwrap_or_default());
        self.len += 1;
        self.encoded_len += encoding.len();
        true
    }

    /// Gives memory back that no further entry will need.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.blocks.shrink_to_fit();
        self.before = Before::default();
    }

    /// Reads from the entry at `index` on.
    pub(super) fn from(&self, index: u32) -> Option<Cursor<'_>> {
        if index >= self.len {
            return None;
        }
        let block = usize::try_from(index / BLOCK).ok()?;
        let at = usize::try_from(*self.blocks.get(block)?).ok()?;
        let index_of_block = index - index % BLOCK;
        let mut cursor =
            Cursor { packed: self, at, index: index_of_block, before: Before::default() };
        while cursor.index < index {
            cursor.pass()?;
        }
        Some(cursor)
    }
}

/// Reads entries in order.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    packed: &'a Packed,
    at: usize,
    index: u32,
    before: Before,
}

impl<'a> Cursor<'a> {
    /// The next entry's index.
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Appends the next entry's encoding to `out`; none if there is none.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let tail = self.pass()?;
        put_header(out, self.before.path.len());
        out.extend_from_slice(&self.before.path);
        self.put_tail(tail, out)
    }

    /// Like [`Cursor::next`], without the path and its length.
    pub(super) fn next_tail(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let tail = self.pass()?;
        self.put_tail(tail, out)
    }

    /// Goes past the next entry, and gives what follows its path, with whether the
    /// media type is left out of it.
    fn pass(&mut self) -> Option<(&'a [u8], bool)> {
        if self.index >= self.packed.len {
            return None;
        }
        if self.index.is_multiple_of(BLOCK) {
            self.before = Before::default();
        }
        let (shared, rest) = (self.number()?, self.number()?);
        let path = take(&self.packed.bytes, &mut self.at, rest)?;
        replace(&mut self.before.path, shared, path);
        let tail = self.number()?;
        let (len, is_same) = (tail / 2, tail % 2 == 1);
        let tail = take(&self.packed.bytes, &mut self.at, len)?;
        if !is_same {
            replace(&mut self.before.mime, 0, tail.get(mime_place(tail)).unwrap_or_default());
        }
        self.index += 1;
        Some((tail, is_same))
    }

    fn put_tail(&self, (tail, is_same): (&[u8], bool), out: &mut Vec<u8>) -> Option<()> {
        if is_same {
            let (ahead, behind) = tail.split_at_checked(mime_place(tail).start)?;
            out.extend_from_slice(ahead);
            out.extend_from_slice(&self.before.mime);
            out.extend_from_slice(behind);
        } else {
            out.extend_from_slice(tail);
        }
        Some(())
    }

    fn number(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in [0, 7, 14] {
            let byte = *self.packed.bytes.get(self.at)?;
            self.at += 1;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

fn take<'a>(bytes: &'a [u8], at: &mut usize, len: usize) -> Option<&'a [u8]> {
    let taken = bytes.get(*at..)?.get(..len)?;
    *at += len;
    Some(taken)
}

/// Keeps the first `keep` bytes and puts `rest` behind them.
fn replace(bytes: &mut Vec<u8>, keep: usize, rest: &[u8]) {
    bytes.truncate(keep);
    bytes.extend_from_slice(rest);
}

/// Writes a number below 2^21, which no length of an entry reaches.
fn put(bytes: &mut Vec<u8>, number: usize) {
    let mut rest = number;
    while rest >= 0x80 {
        bytes.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    bytes.push(low_bits(rest));
}

fn low_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or(0)
}

/// Bytes that the wire's form of a path's length takes.
fn header_len(path_len: usize) -> usize {
    if path_len < 251 { 1 } else { 3 }
}

fn put_header(out: &mut Vec<u8>, path_len: usize) {
    match u8::try_from(path_len) {
        Ok(len) if len < 251 => out.push(len),
        _ => {
            out.push(251);
            out.extend_from_slice(&u16::try_from(path_len).unwrap_or(u16::MAX).to_le_bytes());
        }
    }
}

/// Where the media type is, or would be, in what follows an entry's path: behind
/// kind, size and executable (`MF-ENTRY-LAYOUT`). Empty if there is none.
fn mime_place(tail: &[u8]) -> std::ops::Range<usize> {
    let at = |place: usize| tail.get(place).copied().unwrap_or(0);
    if at(0) == 0 {
        return tail.len()..tail.len();
    }
    let size = match (at(1), at(2)) {
        (0, _) => 0,
        (_, 251) => 3,
        (_, 252) => 5,
        (_, 253) => 9,
        _ => 1,
    };
    let start = 3 + size;
    let len = if at(start) == 0 { 0 } else { 2 + usize::from(at(start + 1)) };
    start..start + len
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file's encoding: the path's length, the path, and the rest.
    fn entry(path: &str, size: &[u8], mime: &str) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        put_header(&mut bytes, path.len());
        bytes.extend_from_slice(path.as_bytes());
        bytes.push(1);
        bytes.extend_from_slice(size);
        bytes.push(0);
        if mime.is_empty() {
            bytes.push(0);
        } else {
            bytes.extend([1, u8::try_from(mime.len()).unwrap()]);
            bytes.extend_from_slice(mime.as_bytes());
        }
        bytes.extend([0, 1, 1, 5]);
        (bytes, path.len())
    }

    // MF-PAGE-JOIN
    #[test]
    fn every_entry_comes_out_as_it_went_in_from_any_place() {
        let sizes = [&[0][..], &[1, 250], &[1, 251, 0, 1], &[1, 252, 0, 0, 1, 0]];
        let mimes = ["", "text/plain", "text/plain", "image/png"];
        let long = "n".repeat(255);
        let mut packed = Packed::default();
        let mut entries = Vec::new();
        for number in 0..100_usize {
            let path = match number % 10 {
                9 => format!("{long}/{number:03}"),
                _ => format!("photos/{number:03}"),
            };
            entries.push(match number % 7 {
                6 => ([&[4][..], b"dir1", &[0, 0]].concat(), 4),
                _ => entry(&path, sizes[number % 4], mimes[number % 4]),
            });
        }
        for (bytes, path_len) in &entries {
            assert!(packed.push(bytes, *path_len));
        }
        assert_eq!(packed.encoded_len, entries.iter().map(|(bytes, _)| bytes.len()).sum::<usize>());
        for first in 0..100 {
            let mut cursor = packed.from(first).unwrap();
            for (bytes, path_len) in &entries[first as usize..] {
                let mut out = Vec::new();
                let mut tail = Vec::new();
                cursor.clone().next_tail(&mut tail).unwrap();
                cursor.next(&mut out).unwrap();
                assert_eq!(out, *bytes);
                assert_eq!(tail, bytes[header_len(*path_len) + path_len..]);
            }
            assert!(cursor.next(&mut Vec::new()).is_none());
        }
        assert!(packed.from(100).is_none());
    }
}
