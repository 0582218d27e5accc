//! Finds normative statements in the spec's chapters: blocks of Markdown in
//! which `**[ID]**` begins a statement, and sentences that command without one.
//! Who implements and who tests a statement is found elsewhere (`trace`).

use crate::repo::SourceFile;

/// The prefixes of ids and what they are for.
pub(crate) const PREFIXES: &[(&str, &str)] = &[
    ("OV", "overview and registries"),
    ("TB", "transport binding"),
    ("WF", "wire format"),
    ("HS", "handshake"),
    ("RL", "records"),
    ("SG", "sealed signaling"),
    ("TR", "transfer"),
    ("MF", "manifest and names"),
    ("FC", "flow control"),
    ("RV", "rendezvous"),
    ("SC", "security"),
    ("RS", "resume"),
    ("LN", "further lanes"),
];

/// One normative statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Its stable name.
    pub(crate) id: String,
    /// What it says, in Markdown.
    pub(crate) text: String,
    /// The title of its chapter.
    pub(crate) chapter: String,
    /// The chapter's path.
    pub(crate) path: String,
    /// Line of the block that holds it, from 1.
    pub(crate) line: usize,
    /// Whether it says MUST or MUST NOT.
    pub(crate) is_must: bool,
}

/// A sentence that says MUST and belongs to no id, as `path:line: text`.
pub(crate) type Stray = String;

/// A paragraph, a list item or a row of a table.
struct Block {
    line: usize,
    text: String,
}

/// Whether a file is a chapter of the spec.
pub(crate) fn is_chapter(file: &SourceFile) -> bool {
    let name = file.path.strip_prefix("spec/").unwrap_or_default();
    !name.is_empty() && !name.contains('/') && file.has_extension("md")
}

/// All statements of a chapter, and the commands that belong to none.
pub(crate) fn read(path: &str, text: &str) -> (Vec<Statement>, Vec<Stray>) {
    let mut statements = Vec::new();
    let mut strays = Vec::new();
    let chapter = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or(path);
    for block in blocks(text) {
        let mut parts = block.text.split("**[");
        let before = parts.next().unwrap_or_default();
        if commands(before) {
            strays.push(format!("{path}:{}: {}", block.line, before.trim()));
        }
        for part in parts {
            let Some((id, sentence)) = part.split_once("]**") else { continue };
            statements.push(Statement {
                id: id.to_owned(),
                text: sentence.trim_matches([' ', '|']).to_owned(),
                chapter: chapter.to_owned(),
                path: path.to_owned(),
                line: block.line,
                is_must: commands(sentence),
            });
        }
    }
    (statements, strays)
}

/// Whether text holds the word MUST other than in quotation, as the paragraph
/// has it that explains these words.
fn commands(text: &str) -> bool {
    text.match_indices("MUST").any(|(at, word)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let quoted = before.is_some_and(|found| "\"“`*".contains(found));
        let inside = |found: Option<char>| {
            found.is_some_and(|found| found.is_alphanumeric() || "_-".contains(found))
        };
        !quoted && !inside(before) && !inside(after)
    })
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") {
            fenced = !fenced;
            open = false;
            continue;
        }
        if fenced || trimmed.is_empty() {
            open = false;
            continue;
        }
        if open && !begins_block(trimmed) {
            if let Some(block) = blocks.last_mut() {
                block.text.push(' ');
                block.text.push_str(trimmed);
            }
        } else {
            blocks.push(Block { line: index + 1, text: trimmed.to_owned() });
        }
        open = !trimmed.starts_with(['#', '|']);
    }
    blocks
}

fn begins_block(line: &str) -> bool {
    let number = line.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let numbered = number.len() < line.len() && number.starts_with(". ");
    numbered || line.starts_with(['|', '#']) || line.starts_with("- ") || line.starts_with("* ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strays(text: &str) -> usize {
        read("spec/x.md", text).1.len()
    }

    #[test]
    fn a_statement_has_its_id_and_line() {
        let text = "# Title\n\nWords.\n\n- **[QQ-ONE]** A peer MUST wait\n  for long.\n- **[QQ-TWO]** It MAY leave.\n";
        let (statements, strays) = read("spec/x.md", text);
        assert!(strays.is_empty());
        assert_eq!(statements.len(), 2);
        assert_eq!((statements[0].id.as_str(), statements[0].line), ("QQ-ONE", 5));
        assert_eq!(statements[0].text, "A peer MUST wait for long.");
        assert_eq!(statements[0].chapter, "Title");
        assert!(statements[0].is_must);
        assert!(!statements[1].is_must);
    }

    #[test]
    fn a_command_without_an_id_is_a_stray() {
        assert_eq!(strays("A peer MUST wait."), 1);
        assert_eq!(strays("- **[QQ-ONE]** A peer MUST wait.\n- A peer MUST NOT shout."), 1);
        assert_eq!(strays("It MUST wait. **[QQ-ONE]** It MUST go."), 1);
        assert_eq!(strays("| **[QQ-ONE]** | MUST |\n| x | MUST |"), 1);
    }

    #[test]
    fn quoted_words_and_code_command_nothing() {
        assert_eq!(strays("The words \"MUST\" and \"MUST NOT\" mean:"), 0);
        assert_eq!(strays("```\nMUST\n```\n"), 0);
        assert_eq!(strays("MUSTARD and A_MUST"), 0);
    }
}
