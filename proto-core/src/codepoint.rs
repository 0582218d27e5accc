//! Classes of code points that are dangerous to store or to show. Names
//! ([`crate::path`]) and escapes ([`crate::escape`]) share this one table; what
//! is done about a class is decided there. The spec's table is in
//! `spec/06-manifest.md#code-points`.

/// What a code point does besides being seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nothing that concerns us.
    Plain,
    /// C0, DEL and C1: it steers a terminal (`MF-PATH-CONTROL`).
    Control,
    /// It changes the direction in which its neighbours are shown (`MF-PATH-BIDI`).
    Bidi,
    /// It leaves no mark, breaks the line, or is no character (`MF-PATH-INVISIBLE`).
    Invisible,
    /// It leaves no mark of its own, but writing systems and emoji need it:
    /// joiners and variation selectors (`MF-PATH-JOINER`).
    Joiner,
}

/// The class of `c`. It depends on no version of Unicode: the ranges are fixed.
pub(crate) fn class(c: char) -> Class {
    match c {
        '\u{00}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Class::Control,
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => Class::Bidi,
        '\u{180b}'..='\u{180d}'
        | '\u{180f}'
        | '\u{200c}'
        | '\u{200d}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0100}'..='\u{e01ef}' => Class::Joiner,
        '\u{00ad}'
        | '\u{034f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
        | '\u{fdd0}'..='\u{fdef}' => Class::Invisible,
        // The last two code points of each plane are noncharacters.
        c if u32::from(c) & 0xfffe == 0xfffe => Class::Invisible,
        _ => Class::Plain,
    }
}
