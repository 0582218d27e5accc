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
    /// `MF-PATH-TRAILING`
    #[error("a component of the path ends with a dot or a space")]
    Trailing,
    /// `MF-PATH-DEVICE`
    #[error("a component of the path is the name of a device")]
    Device,
}

impl PathError {
    /// All rules, in the order in which they are told.
    pub const ALL: [PathError; 15] = [
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
            PathError::Trailing => "MF-PATH-TRAILING",
            PathError::Device => "MF-PATH-DEVICE",
        }
    }
}

impl SafePath {
    /// Checks every rule of `spec/06-manifest.md#names`. Nothing is repaired: a
    /// path is taken as it is, or refused.
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
        (_, Class::Plain | Class::Joiner) => None, // MF-PATH-JOINER
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
