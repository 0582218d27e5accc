//! Rust source with comments and literals blanked out, so that a rule about
//! code does not trip over words. Lines stay where they are.

/// Blanks comments, strings and characters with spaces.
pub(super) fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let Some(end) = skipped(&chars, at) else {
            out.push(chars[at]);
            at += 1;
            continue;
        };
        let end = end.min(chars.len());
        out.extend(chars[at..end].iter().map(|&found| if found == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Where the comment or literal that begins at `at` ends, if one does.
fn skipped(chars: &[char], at: usize) -> Option<usize> {
    let next = chars.get(at + 1).copied();
    let after_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next == Some('/') => Some(until(chars, at, |found| found == '\n')),
        '/' if next == Some('*') => Some(block_comment(chars, at)),
        'r' if !after_word => raw_string(chars, at + 1),
        'b' if !after_word && next == Some('r') => raw_string(chars, at + 2),
        '"' => Some(quoted(chars, at, '"')),
        '\'' if is_character(chars, at) => Some(quoted(chars, at, '\'')),
        _ => None,
    }
}

fn until(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|&at| stop(chars[at])).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// A string in `r"…"` or `r#"…"#`, whose hashes begin at `from`.
fn raw_string(chars: &[char], from: usize) -> Option<usize> {
    let quote = until(chars, from, |found| found != '#');
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - from;
    let closes = |at: usize| {
        chars[at] == '"'
            && chars[at + 1..].iter().take_while(|&&found| found == '#').count() >= hashes
    };
    let end = (quote + 1..chars.len()).find(|&at| closes(at)).unwrap_or(chars.len());
    Some(end + 1 + hashes)
}

fn quoted(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Tells a character from a lifetime.
fn is_character(chars: &[char], at: usize) -> bool {
    chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')
}

#[test]
fn comments_and_literals_are_blanked() {
    let source = "let a = \"un\\\"safe\"; // unsafe\n/* x /* y */ z */ let b: &'a u8 = '\\'';\nr#\"raw \"q\" \"#; br\"bytes\"; 'x'; end";
    let code = code_only(source);
    let words: Vec<&str> = code.split_whitespace().collect();
    let expected = "let a = ; let b: &'a u8 = ; ; ; ; end";
    assert_eq!(words.join(" "), expected);
    assert_eq!(code.lines().count(), source.lines().count());
}
