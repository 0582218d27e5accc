//! Compares this crate's numbers with `spec/registry.toml` and its error table
//! with the spec's.

use passel_rendezvous::messages::{ErrorCode, MAX_SIGNAL_BLOB, PROTOCOL};

#[test]
fn the_limits_are_the_registrys() {
    let registry: toml::Table = include_str!("../../spec/registry.toml").parse().unwrap();
    let blob = registry["limits"]["MAX_SIGNAL_BLOB"].as_integer().unwrap();
    assert_eq!(usize::try_from(blob), Ok(MAX_SIGNAL_BLOB));
    assert_eq!(registry["protocol"].as_str(), Some(PROTOCOL));
}

#[test]
fn the_error_codes_are_the_specs() {
    // RV-ERROR-BODY
    let spec = include_str!("../../spec/09-rendezvous.md");
    for code in ErrorCode::ALL {
        let row = format!("| `{}` | {} | ", code.name(), code.status());
        assert!(spec.contains(&row), "the spec lacks the row {row}");
    }
}
