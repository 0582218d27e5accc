//! What is kept of measurements in `docs/`: files of their own, and sections of
//! `docs/performance.md`, each between two marks.

use std::fs;
use std::path::Path;

/// A place to write to.
pub(crate) enum Page<'t> {
    /// A section of the performance page.
    Performance { section: &'t str, text: &'t str },
    /// A file.
    File { name: &'t str, text: &'t str },
}

/// Writes it.
pub(crate) fn write(page: &Page) -> Result<(), String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let (path, text) = match *page {
        Page::File { name, text } => (docs.join(name), text.to_owned()),
        Page::Performance { section, text } => {
            let path = docs.join("performance.md");
            let before = fs::read_to_string(&path);
            let before = before.map_err(|error| format!("{}: {error}", path.display()))?;
            let after = replaced(&before, section, text);
            (path, after.ok_or_else(|| format!("the page has no section {section}"))?)
        }
    };
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The page with another text between the marks of a section.
fn replaced(page: &str, section: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {section} -->\n"), format!("<!-- /{section} -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{text}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n<!-- y -->\n<!-- /y -->\n";
        let expected = "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n<!-- y -->\n<!-- /y -->\n";
        assert_eq!(replaced(page, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(replaced(page, "z", "new\n"), None);
    }
}
