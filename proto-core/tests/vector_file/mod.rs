//! Comparing a test's vectors with their file in `spec/vectors/`, or writing
//! that file if `PASSEL_BLESS=1` is set. No vectors live here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

/// Fails unless the file `name` says exactly what `vectors` do. The file is
/// ASCII, so that hostile names in it are harmless to whoever reads it.
pub(crate) fn check<T: Serialize>(name: &str, vectors: &T) {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "spec", "vectors", name].iter().collect();
    let mut wanted = String::new();
    for c in serde_json::to_string_pretty(vectors).unwrap().chars() {
        if c.is_ascii() && c != '\u{7f}' {
            wanted.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(wanted, "\\u{unit:04x}").unwrap();
            }
        }
    }
    wanted.push('\n');
    if std::env::var_os("PASSEL_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "spec/vectors/{name} is out of date: run again with PASSEL_BLESS=1");
}

/// `bytes` in hexadecimal, in lower case.
#[allow(dead_code, reason = "not all vectors have bytes in them")]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}
