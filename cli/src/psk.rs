//! Keys of the user's own: a file with 256 bits, as hexadecimal digits or base64.
//! The key is read from a file and never from an argument, which others on the
//! computer can see (`SC-SECRETS-HIDDEN`). What does not live here: what the key is
//! used for.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use passel_proto::crypto::Secret32;
use passel_proto::escape::for_terminal;
use zeroize::Zeroizing;

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 1024;

/// Why a file holds no key. The texts never hold what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum PskError {
    /// It cannot be read or written.
    #[error("the key file '{0}' cannot be used: {1}")]
    Io(String, io::Error),
    /// Something else is in it.
    #[error("the key file '{0}' does not hold a key of 256 bits: 64 hexadecimal digits or base64")]
    Form(String),
}

/// A key out of a file, and a warning if others may read the file.
pub fn load(path: &Path) -> Result<(Secret32, Option<String>), PskError> {
    let name = || for_terminal(&path.to_string_lossy());
    let failed = |error| PskError::Io(name(), error);
    let file = File::open(path).map_err(failed)?;
    let warning = is_open_to_others(&file)
        .then(|| format!("others on this computer can read the key file '{}'", name()));
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => PskError::Form(name()),
        _ => failed(error),
    })?;
    let key = parse(&text).ok_or_else(|| PskError::Form(name()))?;
    Ok((key, warning))
}

/// Makes a new file that holds `key`, for its owner's eyes only.
pub fn store(path: &Path, key: &Secret32) -> Result<(), PskError> {
    let mut line = Zeroizing::new(String::with_capacity(65));
    for byte in key.expose() {
        for nibble in [byte >> 4, byte & 15] {
            line.extend(char::from_digit(nibble.into(), 16));
        }
    }
    line.push('\n');
    let written = create(path).and_then(|mut file| {
        file.write_all(line.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| PskError::Io(for_terminal(&path.to_string_lossy()), error))
}

/// A file that was not there before.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt;
    // What is no file, such as a pipe from another program, has no such readers.
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> bool {
    false
}

/// 256 bits that are not all zero.
fn parse(text: &str) -> Option<Secret32> {
    let text = text.trim();
    let mut bytes = Zeroizing::new([0; 32]);
    if text.len() == 64 {
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digit = |place: usize| char::from(pair[place]).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
    } else {
        let digits = text.strip_suffix('=').unwrap_or(text);
        if digits.len() != 43 {
            return None;
        }
        let engine = if digits.contains(['-', '_']) { URL_SAFE_NO_PAD } else { STANDARD_NO_PAD };
        engine.decode_slice(digits, bytes.as_mut_slice()).ok().filter(|length| *length == 32)?;
    }
    let key = Secret32::new(*bytes);
    (!key.is_zero()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_hexadecimal_and_in_both_kinds_of_base64() {
        let bytes: [u8; 32] = [[0xf8, 0xfb, 0xff, 0xbf]; 8].concat().try_into().unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [
            hex.clone(),
            format!(" {}\n", hex.to_uppercase()),
            STANDARD_NO_PAD.encode(bytes),
            format!("{}=\n", STANDARD_NO_PAD.encode(bytes)),
            URL_SAFE_NO_PAD.encode(bytes),
        ] {
            assert_eq!(parse(&text), Some(Secret32::new(bytes)), "{text}");
        }
        for text in ["", "00", &hex[1..], &"0".repeat(64), &"A".repeat(43), &"é".repeat(32)] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("{hex}00")), None);
    }

    // SC-SECRETS-HIDDEN
    #[test]
    fn a_new_file_is_its_owners_alone_and_one_that_is_not_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = Secret32::new([0xa7; 32]);
        store(&path, &key).unwrap();
        assert_eq!(load(&path).unwrap(), (key.clone(), None));
        assert!(matches!(store(&path, &key), Err(PskError::Io(..))), "never overwritten");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            let warning = load(&path).unwrap().1.unwrap();
            assert!(warning.contains("can read the key file"), "{warning}");
        }
        std::fs::write(&path, "a7a7 secret").unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(!error.contains("a7a7"), "{error}");
        assert!(matches!(load(&dir.path().join("none")), Err(PskError::Io(..))));
    }
}
