//! Themes: what the tests prove, across the rooms, told from where a test lies
//! and how it is named. A theme without a test is not shown.

/// A test that ran, as the summary sees it.
pub(crate) struct Entry {
    /// Directory of the package.
    pub(crate) room: String,
    /// Modules for a unit test, `tests/x` and modules for an integration test.
    pub(crate) place: String,
    /// The function's name.
    pub(crate) name: String,
    /// Whether it held.
    pub(crate) passed: bool,
}

/// A question that several tests answer together.
pub(crate) struct Theme {
    /// What the tests prove.
    pub(crate) title: &'static str,
    /// Whether its tests are listed one by one.
    pub(crate) by_name: bool,
    rooms: &'static [&'static str],
    places: &'static [&'static str],
    words: &'static [&'static str],
}

/// Words in the name of a test that something bad is turned away.
const REFUSAL: &[&str] = &[
    "refuse",
    "reject",
    "never_panic",
    "hostile",
    "malformed",
    "truncated",
    "trailing",
    "overlong",
    "cannot",
    "must_not",
    "is_not",
    "wrong",
    "invalid",
    "unknown",
    "too_",
    "no_panic",
    "flip",
    "tamper",
    "replay",
    "downgrade",
    "not_accepted",
    "fails",
    "limit",
];

const ANY: &[&str] = &[""];

/// All themes in the order in which they are shown.
pub(crate) const THEMES: &[Theme] = &[
    Theme {
        title: "hostile input to decoders",
        by_name: false,
        rooms: &["proto-core", "rendezvous", "sans-io", "fuzz"],
        places: &["codec", "frame", "wire", "hostile", "signal", "message"],
        words: REFUSAL,
    },
    Theme {
        title: "handshakes that must not succeed",
        by_name: false,
        rooms: &["proto-core", "sans-io"],
        places: &["handshake"],
        words: REFUSAL,
    },
    Theme {
        title: "records that must not open",
        by_name: false,
        rooms: &["proto-core"],
        places: &["record"],
        words: REFUSAL,
    },
    Theme {
        title: "names that must not be written",
        by_name: false,
        rooms: &["proto-core", "cli"],
        places: &["name", "path", "manifest"],
        words: REFUSAL,
    },
    Theme {
        title: "the spec, its registry and its vectors",
        by_name: false,
        rooms: ANY,
        places: &["registry", "vector", "spec"],
        words: ANY,
    },
    Theme {
        title: "rules of the house",
        by_name: false,
        rooms: &["xtask"],
        places: &["tidy"],
        words: ANY,
    },
    Theme {
        title: "transfers between two connections",
        by_name: true,
        rooms: &["proto-core"],
        places: &["tests/transfer"],
        words: ANY,
    },
    Theme {
        title: "simulated worlds",
        by_name: true,
        rooms: &["sim"],
        places: &["tests/"],
        words: ANY,
    },
    Theme {
        title: "lanes over WebRTC, both ends in a process",
        by_name: true,
        rooms: &["sans-io"],
        places: &["tests/"],
        words: ANY,
    },
    Theme {
        title: "end to end, whole programs",
        by_name: true,
        rooms: &["cli", "interop"],
        places: &["tests/"],
        words: ANY,
    },
];

impl Theme {
    /// Whether a test belongs here.
    pub(crate) fn holds(&self, entry: &Entry) -> bool {
        let room = self.rooms.iter().any(|room| room.is_empty() || *room == entry.room);
        let place = self.places.iter().any(|part| entry.place.contains(part));
        room && place && self.words.iter().any(|word| entry.name.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(room: &str, place: &str, name: &str) -> Vec<&'static str> {
        let entry =
            Entry { room: room.into(), place: place.into(), name: name.into(), passed: true };
        THEMES.iter().filter(|theme| theme.holds(&entry)).map(|theme| theme.title).collect()
    }

    #[test]
    fn a_test_is_sorted_by_room_place_and_name() {
        assert_eq!(
            titles("proto-core", "codec", "overlong_varint_is_refused"),
            ["hostile input to decoders"]
        );
        assert_eq!(
            titles("proto-core", "handshake::responder", "low_order_point_is_refused"),
            ["handshakes that must not succeed"]
        );
        assert_eq!(
            titles("cli", "tests/transfer", "a_file_arrives"),
            ["end to end, whole programs"]
        );
        assert!(titles("proto-core", "codec", "round_trip").is_empty());
        assert!(titles("cli", "transfer", "a_file_arrives").is_empty());
    }
}
