//! Text of other people made safe to show: for a terminal, for HTML, and as the
//! reason text of frames and logs. Escapes are for eyes and cannot be undone.
//! What does not live here: JSON, whose own encoder does it, and the rules for
//! names, which refuse ([`crate::path`]).

use crate::codepoint::{Class, class};
use crate::limits::MAX_REASON_TEXT;

/// `text` in one line without anything that steers a terminal, reorders text or
/// hides: such code points become `\u{…}` (`MF-SHOW-ESCAPED`). At most six
/// times as long as `text`.
///
/// ```
/// assert_eq!(passel_proto::escape::for_terminal("a\u{1b}[2J.txt"), "a\\u{1b}[2J.txt");
/// ```
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
fn escape(text: &str, max: usize, out: &mut String, plain: impl Fn(char, &mut String)) {
    // Whether a joiner can have a meaning here: after a shown one that is not
    // ASCII, of which it changes the form.
    let mut joins = false;
    for c in text.chars() {
        let before = out.len();
        let shown = match class(c) {
            Class::Plain => true,
            Class::Control | Class::Bidi | Class::Invisible => false,
            Class::Joiner => joins,
        };
        if shown {
            plain(c, out);
        } else {
            out.extend(c.escape_unicode());
        }
        if out.len() > max {
            out.truncate(before);
            return;
        }
        joins = shown && !c.is_ascii();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // MF-SHOW-ESCAPED
    #[test]
    fn what_steers_a_terminal_becomes_visible() {
        assert_eq!(
            for_terminal("a\u{1b}[31mb\r\n\t\u{9b}2J\u{7f}"),
            r"a\u{1b}[31mb\u{d}\u{a}\u{9}\u{9b}2J\u{7f}"
        );
        assert_eq!(for_terminal("gpj\u{202e}.exe"), r"gpj\u{202e}.exe");
        assert_eq!(for_terminal("a\u{200b}b\u{feff}\u{e0041}"), r"a\u{200b}b\u{feff}\u{e0041}");
        assert_eq!(for_terminal("Grüße, 世界 🎉"), "Grüße, 世界 🎉");
    }

    // MF-SHOW-ESCAPED
    #[test]
    fn a_joiner_is_shown_only_where_it_joins() {
        let heart = "\u{2764}\u{fe0f}\u{200d}\u{1f525}";
        assert_eq!(for_terminal(heart), heart);
        assert_eq!(for_terminal("\u{200d}a\u{200d}b"), r"\u{200d}a\u{200d}b");
        assert_eq!(for_terminal("\u{202e}\u{200d}"), r"\u{202e}\u{200d}");
    }

    // MF-SHOW-HTML
    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            for_html("<img src=x onerror='a&b'>\"\u{1b}"),
            r"&lt;img src=x onerror=&#39;a&amp;b&#39;&gt;&quot;\u{1b}"
        );
    }

    // MF-SHOW-REASON
    #[test]
    fn a_reason_is_clipped_between_code_points_and_between_escapes() {
        assert_eq!(reason(&"é".repeat(300)), "é".repeat(MAX_REASON_TEXT / 2));
        let odd = format!("x{}", "é".repeat(300));
        assert_eq!(reason(&odd).len(), MAX_REASON_TEXT - 1);
        // 512 is 85 escapes of 6 bytes and 2 bytes over.
        assert_eq!(reason(&"\u{1b}".repeat(600)), r"\u{1b}".repeat(85));
        assert_eq!(reason("disk full"), "disk full");
    }

    proptest! {
        // MF-SHOW-ESCAPED, MF-SHOW-HTML, MF-SHOW-REASON
        #[test]
        fn nothing_dangerous_is_left(text in "\\PC*|[\u{0}-\u{ff}]*|(?s).{0,400}") {
            for shown in [for_terminal(&text), for_html(&text), reason(&text)] {
                for c in shown.chars() {
                    prop_assert!(matches!(class(c), Class::Plain | Class::Joiner), "{c:?}");
                }
            }
            prop_assert!(for_terminal(&text).len() <= 6 * text.len());
            prop_assert!(reason(&text).len() <= MAX_REASON_TEXT);
            prop_assert!(for_terminal(&text).starts_with(&reason(&text)));
            prop_assert!(!for_html(&text).contains(['<', '>', '"', '\'']));
        }
    }
}
