//! What nobody may read who carries it: words that stand in the contents, names and
//! notes of what is sent, and must not be found in anything that goes out.

use std::net::IpAddr;

use memchr::memmem;

use crate::oracle::{Broken, broken};
use crate::plan::Side;

/// Stands in every file that is long enough for it, every so many bytes.
pub(crate) const IN_CONTENT: &[u8] = b"readable-content";
const IN_CONTENT_EVERY: usize = 256;
/// Begins every file's name.
pub(crate) const IN_NAME: &str = "readable-name";
/// Stands in the note of every offer.
pub(crate) const IN_NOTE: &str = "readable-note";

/// Puts the words into the content of a file.
pub(crate) fn stamp(content: &mut [u8]) {
    for part in content.chunks_mut(IN_CONTENT_EVERY) {
        if let Some(room) = part.get_mut(..IN_CONTENT.len()) {
            room.copy_from_slice(IN_CONTENT);
        }
    }
}

/// Nothing that a side sends can be read by whoever carries it.
pub(crate) fn check(side: Side, sent: &[u8]) -> Result<(), Broken> {
    for words in [IN_CONTENT, IN_NAME.as_bytes(), IN_NOTE.as_bytes()] {
        if memmem::find(sent, words).is_some() {
            let text = String::from_utf8_lossy(words);
            return broken("nothing on the wire is readable", format!("{side:?}: {text}"));
        }
    }
    Ok(())
}

/// Begins a port of two bytes in a candidate.
const PORT_FOLLOWS: u8 = 251;

/// Whether bytes tell an address in the clear: as chapter 2 of the spec encodes it, or as
/// text.
pub(crate) fn tells(bytes: &[u8], address: IpAddr) -> bool {
    let mut encoded = match address {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    // Four bytes alone may be chance; a port of two bytes follows.
    encoded.push(PORT_FOLLOWS);
    let text = address.to_string();
    [&encoded, text.as_bytes()].into_iter().any(|told| memmem::find(bytes, told).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stamped_is_found_wherever_it_is_cut() {
        let mut content = vec![7; 1000];
        stamp(&mut content);
        for from in 0..400 {
            assert!(check(Side::Joiner, &content[from..from + 600]).is_err(), "{from}");
        }
        assert!(check(Side::Joiner, &[7; 1000]).is_ok());
        assert!(check(Side::Joiner, b"as a readable-name goes").is_err());
    }

    #[test]
    fn an_address_is_told_as_a_candidate_or_as_text() {
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        assert!(tells(&[0, 192, 0, 2, 7, 251, 0, 80], address));
        assert!(tells(b"at 192.0.2.7, port 80", address));
        assert!(!tells(&[192, 0, 2, 7, 0], address) && !tells(b"192.0.2.8", address));
    }
}
