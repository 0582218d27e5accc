//! The one type for a name that came from elsewhere: [`SafePath`], a relative
//! path that can only be made by parsing (`spec/06-manifest.md#names`). What
//! does not live here: how a path is shown ([`crate::escape`]), and how a file is
//! opened, which is the shells' work and never by joining strings.

use std::cmp::Ordering;
use std::fmt;

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::codepoint::{Class, class};
use crate::limits::{MAX_PATH, MAX_PATH_COMPONENT, MAX_PATH_DEPTH_COUNT};

/// A relative path of one or more components, joined by `/`, none of which can
/// lead out of the directory it is resolved in, on any system that we know of.
///
/// Paths are ordered bytewise component by component, so that what lies in a
/// directory follows the directory at once (`MF-ORDER`).
///
/// ```
/// use passel_proto::path::SafePath;
///
/// let path = SafePath::parse("photos/2026/sea.jpg").unwrap();
/// assert_eq!((path.parent(), path.file_name()), (Some("photos/2026"), "sea.jpg"));
/// assert!(SafePath::parse("../etc/passwd").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SafePath(String);

/// Why a name was refused: one variant a rule. Where a name breaks several
/// rules, the first is told in the order in which the variants stand here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum PathError {
    /// `MF-PATH-EMPTY`
    #[error("the path is empty")]
    Empty,
    /// `MF-PATH-LONG`
    #[error("the path is longer than {MAX_PATH} bytes")]
    Long,
    /// `MF-PATH-ABSOLUTE`
    #[error("the path begins with a slash")]
    Absolute,
    /// `MF-PATH-BACKSLASH`
    #[error("the path holds a backslash")]
    Backslash,
    /// `MF-PATH-COLON`
    #[error("the path holds a colon")]
    Colon,
    /// `MF-PATH-CONTROL`
    #[error("the path holds a control character")]
    Control,
    /// `MF-PATH-BIDI`
    #[error("the path holds a character that changes the direction of text")]
    Bidi,
    /// `MF-PATH-INVISIBLE`
    #[error("the path holds an invisible character")]
    Invisible,
    /// `MF-PATH-NFC`
    #[error("the path is not in Unicode normalization form C")]
    NotNormalized,
    /// `MF-PATH-DEPTH`
    #[error("the path has more than {MAX_PATH_DEPTH_COUNT} components")]
    Depth,
    /// `MF-PATH-COMPONENT-EMPTY`
    #[error("a component of the path is empty")]
    ComponentEmpty,
    /// `MF-PATH-DOTS`
    #[error("a component of the path is `.` or `..`")]
    Dots,
    /// `MF-PATH-COMPONENT-LONG`
    #[error("a component of the path is longer than {MAX_PATH_COMPONENT} bytes")]
    ComponentLong,
    /// `MF-PATH-JOINER`
    #[error("a component of the path begins with a joiner")]
    Joiner,
    /// `MF-PATH-TRAILING`
    #[error("a component of the path ends with a dot or a space")]
    Trailing,
    /// `MF-PATH-DEVICE`
    #[error("a component of the path is the name of a device")]
    Device,
}

impl PathError {
    /// All rules, in the order in which they are told.
    pub const ALL: [PathError; 16] = [
        PathError::Empty,
        PathError::Long,
        PathError::Absolute,
        PathError::Backslash,
        PathError::Colon,
        PathError::Control,
        PathError::Bidi,
        PathError::Invisible,
        PathError::NotNormalized,
        PathError::Depth,
        PathError::ComponentEmpty,
        PathError::Dots,
        PathError::ComponentLong,
        PathError::Joiner,
        PathError::Trailing,
        PathError::Device,
    ];

    /// The id of the broken rule in `spec/06-manifest.md`.
    pub fn rule(self) -> &'static str {
        match self {
            PathError::Empty => "MF-PATH-EMPTY",
            PathError::Long => "MF-PATH-LONG",
            PathError::Absolute => "MF-PATH-ABSOLUTE",
            PathError::Backslash => "MF-PATH-BACKSLASH",
            PathError::Colon => "MF-PATH-COLON",
            PathError::Control => "MF-PATH-CONTROL",
            PathError::Bidi => "MF-PATH-BIDI",
            PathError::Invisible => "MF-PATH-INVISIBLE",
            PathError::NotNormalized => "MF-PATH-NFC",
            PathError::Depth => "MF-PATH-DEPTH",
            PathError::ComponentEmpty => "MF-PATH-COMPONENT-EMPTY",
            PathError::Dots => "MF-PATH-DOTS",
            PathError::ComponentLong => "MF-PATH-COMPONENT-LONG",
            PathError::Joiner => "MF-PATH-JOINER",
            PathError::Trailing => "MF-PATH-TRAILING",
            PathError::Device => "MF-PATH-DEVICE",
        }
    }
}

impl SafePath {
    /// Checks every rule of `spec/06-manifest.md#names`. Nothing is repaired: a
    /// path is taken as it is, or refused (`MF-PATH-PARSE`).
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check_whole(text)?;
        for component in text.split('/') {
            check_component(component)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as it was parsed. Escape it before showing it ([`crate::escape`]).
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components from the outermost directory to the name; at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The directory that the entry lies in; none at the top.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.as_str(), |(_, name)| name)
    }

    /// What two paths have in common if a file system that ignores case may
    /// take them for one (`MF-FOLD`).
    ///
    /// Each code point is mapped to lower, upper and lower case in turn, by the
    /// full mappings and without context, which joins what Unicode's full case
    /// folding joins (`ſ` and `s`, `ς` and `σ`, `ß` and `ss`); U+0131, which
    /// folding leaves alone, is left alone; joiners and variation selectors are
    /// dropped; the result is brought to NFC. Case and composition of code
    /// points newer than the Unicode version of the library are not known to
    /// it, and a file system has tables of its own: this finds the collisions
    /// that are common, and a receiver still creates files exclusively.
    pub fn collision_key(&self) -> String {
        if self.0.is_ascii() {
            return self.0.to_ascii_lowercase();
        }
        self.0.chars().filter(|&c| class(c) != Class::Joiner).flat_map(fold).nfc().collect()
    }
}

/// Full case folding of one code point, up to the choice of representative.
fn fold(c: char) -> impl Iterator<Item = char> {
    // Upper case would turn a dotless i into a dotted one.
    let keep = (c == '\u{131}').then_some(c);
    let change = (c != '\u{131}').then_some(c);
    keep.into_iter().chain(
        change
            .into_iter()
            .flat_map(char::to_lowercase)
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase),
    )
}

fn check_whole(text: &str) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError::Empty); // MF-PATH-EMPTY
    }
    if text.len() > MAX_PATH {
        return Err(PathError::Long); // MF-PATH-LONG
    }
    if text.starts_with('/') {
        return Err(PathError::Absolute); // MF-PATH-ABSOLUTE
    }
    if let Some(error) = text.chars().filter_map(check_char).min() {
        return Err(error);
    }
    if !is_nfc(text) {
        return Err(PathError::NotNormalized); // MF-PATH-NFC
    }
    if text.split('/').count() > MAX_PATH_DEPTH_COUNT {
        return Err(PathError::Depth); // MF-PATH-DEPTH
    }
    Ok(())
}

fn check_char(c: char) -> Option<PathError> {
    match (c, class(c)) {
        ('\\', _) => Some(PathError::Backslash), // MF-PATH-BACKSLASH
        (':', _) => Some(PathError::Colon),      // MF-PATH-COLON
        (_, Class::Control) => Some(PathError::Control), // MF-PATH-CONTROL
        (_, Class::Bidi) => Some(PathError::Bidi), // MF-PATH-BIDI
        (_, Class::Invisible) => Some(PathError::Invisible), // MF-PATH-INVISIBLE
        (_, Class::Plain | Class::Joiner) => None,
    }
}

fn check_component(component: &str) -> Result<(), PathError> {
    match component {
        "" => return Err(PathError::ComponentEmpty), // MF-PATH-COMPONENT-EMPTY
        "." | ".." => return Err(PathError::Dots),   // MF-PATH-DOTS
        _ => {}
    }
    if component.len() > MAX_PATH_COMPONENT {
        return Err(PathError::ComponentLong); // MF-PATH-COMPONENT-LONG
    }
    if component.starts_with(|c| class(c) == Class::Joiner) {
        return Err(PathError::Joiner); // MF-PATH-JOINER
    }
    if component.ends_with(['.', ' ']) {
        return Err(PathError::Trailing); // MF-PATH-TRAILING
    }
    if is_device(component) {
        return Err(PathError::Device); // MF-PATH-DEVICE
    }
    Ok(())
}

/// Whether Windows takes `component` for a device. It looks at what stands
/// before the first dot, without trailing spaces, in any case.
fn is_device(component: &str) -> bool {
    const PLAIN: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    let stem = component.split('.').next().unwrap_or(component).trim_end_matches(' ');
    if PLAIN.iter().any(|device| stem.eq_ignore_ascii_case(device)) {
        return true;
    }
    stem.split_at_checked(3).is_some_and(|(kind, number)| {
        let mut number = number.chars();
        (kind.eq_ignore_ascii_case("COM") || kind.eq_ignore_ascii_case("LPT"))
            && matches!(number.next(), Some('0'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}'))
            && number.next().is_none()
    })
}

impl Ord for SafePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for SafePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for SafePath {
    /// Shows the path escaped, so that it is safe in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafePath({})", crate::escape::for_terminal(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> SafePath {
        SafePath::parse(text).unwrap()
    }

    #[test]
    fn parts_of_a_path() {
        let deep = path("a/b/c.txt");
        assert_eq!(deep.components().collect::<Vec<_>>(), ["a", "b", "c.txt"]);
        assert_eq!((deep.parent(), deep.file_name()), (Some("a/b"), "c.txt"));
        assert_eq!((path("c").parent(), path("c").file_name()), (None, "c"));
    }

    // MF-ORDER
    #[test]
    fn content_of_a_directory_follows_it_at_once() {
        let sorted = ["a", "a/b", "a/b/c", "a/b-c", "a!", "a-b", "a.txt", "a0", "b", "\u{e9}"];
        for pair in sorted.windows(2) {
            assert!(path(pair[0]) < path(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn a_debug_form_is_escaped() {
        assert_eq!(format!("{:?}", path("a\u{200d}b")), r"SafePath(a\u{200d}b)");
    }

    /// Pieces that rules look at, so that random names are often nearly right.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[a-zA-Z0-9]{1,3}",
            1 => Just("/".to_owned()),
            1 => Just(".".to_owned()),
            1 => Just(" ".to_owned()),
            1 => prop::sample::select(vec!["con", "Nul", "COM1", "lpt\u{b9}", "CONIN$", "aux"])
                .prop_map(str::to_owned),
            1 => prop::sample::select(vec!["\\", ":", "\0", "\u{1b}", "\u{202e}", "\u{200b}", "\u{200d}", "e\u{301}"])
                .prop_map(str::to_owned),
            2 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        // Every rule anew, in the plainest way, without the parser's helpers.
        #[test]
        fn an_accepted_path_keeps_every_rule(text in hostile()) {
            let Ok(path) = SafePath::parse(&text) else { return Ok(()) };
            prop_assert_eq!(path.as_str(), &text);
            prop_assert!(!text.is_empty() && text.len() <= 1024);
            prop_assert_eq!(text.nfc().collect::<String>(), text.clone());
            let never = ['\\', ':', '\u{202e}', '\u{2066}', '\u{feff}', '\u{200b}'];
            prop_assert!(!text.contains(never));
            prop_assert!(!text.chars().any(char::is_control));
            let components: Vec<&str> = text.split('/').collect();
            prop_assert!(components.len() <= 64);
            for component in components {
                prop_assert!((1..=255).contains(&component.len()));
                let last = component.chars().last();
                prop_assert!(last != Some('.') && last != Some(' '));
                let stem = component.split('.').next().unwrap().trim_end().to_uppercase();
                prop_assert!(!["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&&*stem));
                let numbered = stem.starts_with("COM") || stem.starts_with("LPT");
                let number = stem.chars().skip(3).collect::<String>();
                let digits = "0123456789\u{b9}\u{b2}\u{b3}";
                prop_assert!(!(numbered && number.chars().count() == 1 && digits.contains(&number)));
            }
            // What a system's own path type makes of it stays beneath.
            for part in std::path::Path::new(&text).components() {
                prop_assert!(matches!(part, std::path::Component::Normal(_)));
            }
        }

        // MF-FOLD
        #[test]
        fn case_does_not_change_a_collision_key(text in "[a-zA-Zß-öø-ÿΑ-ΡΣ-ωа-яА-Я]{1,12}") {
            let Ok(path) = SafePath::parse(&text) else { return Ok(()) };
            let key = path.collision_key();
            for other in [text.to_lowercase(), text.to_uppercase()] {
                let other: String = other.nfc().collect();
                if let Ok(other) = SafePath::parse(&other) {
                    prop_assert_eq!(other.collision_key(), key.clone());
                }
            }
        }

        // MF-ORDER
        #[test]
        fn order_is_that_of_bytes_with_a_slash_lowest(a in hostile(), b in hostile()) {
            if let (Ok(a), Ok(b)) = (SafePath::parse(&a), SafePath::parse(&b)) {
                let bytes = |path: &SafePath| path.as_str().replace('/', "\0").into_bytes();
                prop_assert_eq!(a.cmp(&b), bytes(&a).cmp(&bytes(&b)));
            }
        }
    }
}
