//! Text of other people made safe to show: for a terminal, for HTML, and as the
//! reason text of frames and logs. Escapes are for eyes and cannot be undone.
//! What does not live here: JSON, whose own encoder does it, and the rules for
//! names, which refuse ([`crate::path`]).

use crate::codepoint::{Class, class};
use crate::limits::MAX_REASON_TEXT;

/// `text` in one line without anything that steers a terminal, reorders text or
/// hides: such code points become `\u{…}` (`MF-SHOW-ESCAPED`). At most six
/// times as long as `text`.
pub fn for_terminal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, usize::MAX, &mut out, push_plain);
    out
}

/// Like [`for_terminal`], and safe as the text of an HTML element or as the
/// value of a quoted attribute (`MF-SHOW-HTML`).
pub fn for_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, usize::MAX, &mut out, |c, out| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        plain => out.push(plain),
    });
    out
}

/// Like [`for_terminal`], and at most [`MAX_REASON_TEXT`] bytes long: what does
/// not fit is left out from the first code point on whose escape would not
/// (`MF-SHOW-REASON`). Fit for a frame's reason text and for a line of a log.
pub fn reason(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_REASON_TEXT));
    escape(text, MAX_REASON_TEXT, &mut out, push_plain);
    out
}

fn push_plain(c: char, out: &mut String) {
    out.push(c);
}

/// Appends `text` code point by code point, and stops before the one with which
/// `out` would exceed `max` bytes.
fn escape(text: &str, max: usize, out: &mut String, mut plain: impl FnMut(char, &mut String)) {
    let mut previous = None;
    for c in text.chars() {
        let before = out.len();
        if is_shown(c, previous) {
            plain(c, out);
        } else {
            out.extend(c.escape_unicode());
        }
        if out.len() > max {
            out.truncate(before);
            return;
        }
        previous = Some(c);
    }
}

/// Whether `c` may be shown as it is after `previous`. A joiner may where it can
/// have a meaning, which is after a character that is not ASCII.
fn is_shown(c: char, previous: Option<char>) -> bool {
    match class(c) {
        Class::Plain => true,
        Class::Control | Class::Bidi | Class::Invisible => false,
        Class::Joiner => previous.is_some_and(|p| !p.is_ascii() && class(p) == Class::Plain),
    }
}
