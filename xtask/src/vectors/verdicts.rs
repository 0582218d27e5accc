//! What the second reader said of each file: lines that begin with `passed` or
//! `FAILED` and a file's name. Running it is left to the parent.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::step::StepResult;

/// The reader's verdicts.
pub(super) struct Said {
    by_file: BTreeMap<String, StepResult>,
    /// Whether it said of any file that it failed.
    pub(super) failed: bool,
    /// Sentences that must not be missed.
    pub(super) notes: Vec<String>,
}

impl Said {
    /// Reads its lines; what follows a failure belongs to it.
    pub(super) fn new(lines: &[String]) -> Self {
        let mut said = Said { by_file: BTreeMap::new(), failed: false, notes: Vec::new() };
        let mut open: Option<String> = None;
        for line in lines {
            if let Some((file, text)) = verdict(line, "passed ") {
                said.by_file.insert(file, Ok(text));
                open = None;
            } else if let Some((file, text)) = verdict(line, "FAILED ") {
                said.failed = true;
                said.by_file.insert(file.clone(), Err(text));
                open = Some(file);
            } else if let Some(note) = line.strip_prefix("note: ") {
                said.notes.push(note.to_owned());
            } else if let Some(Err(text)) =
                open.as_ref().and_then(|file| said.by_file.get_mut(file))
            {
                text.push('\n');
                text.push_str(line);
            }
        }
        said
    }

    /// The verdict on each of these files and on what else the reader read; not a
    /// word on a file is a failure.
    pub(super) fn of_each(&self, files: BTreeSet<String>) -> Vec<(String, StepResult)> {
        let mut all = files;
        all.extend(self.by_file.keys().cloned());
        all.into_iter()
            .map(|file| {
                let silence = || Err("the reader said nothing of it".to_owned());
                let verdict = self.by_file.get(&file).cloned().unwrap_or_else(silence);
                (file, verdict)
            })
            .collect()
    }
}

/// `passed tree.json: 22 cases`.
fn verdict(line: &str, word: &str) -> Option<(String, String)> {
    let (file, text) = line.strip_prefix(word)?.split_once(": ")?;
    Some((file.to_owned(), text.to_owned()))
}

/// The names of the vector files.
pub(super) fn files(directory: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said::new(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn each_file_gets_its_own_verdict() {
        let said = said(
            "passed a.json: 3 cases\nFAILED b.json: case x: wrong\n  more\npassed 03-wire.md: 2 cases\n\
             note: half of it\n",
        );
        let verdicts = said.of_each(BTreeSet::from(["a.json".to_owned(), "b.json".to_owned()]));
        let expected = [
            ("03-wire.md".to_owned(), Ok("2 cases".to_owned())),
            ("a.json".to_owned(), Ok("3 cases".to_owned())),
            ("b.json".to_owned(), Err("case x: wrong\n  more".to_owned())),
        ];
        assert_eq!(verdicts, expected);
        assert!(said.failed);
        assert_eq!(said.notes, ["half of it"]);
    }

    #[test]
    fn a_file_without_a_word_has_failed() {
        let said = said("Traceback (most recent call last):\n");
        assert!(!said.failed);
        let verdicts = said.of_each(BTreeSet::from(["a.json".to_owned()]));
        assert_eq!(verdicts.len(), 1);
        assert!(verdicts[0].1.is_err());
    }

    #[test]
    fn the_vector_files_are_listed() {
        let files = files(&crate::repo::root().join("spec").join("vectors")).unwrap();
        assert!(files.contains("codec.json") && !files.contains("README.md"), "{files:?}");
    }
}
