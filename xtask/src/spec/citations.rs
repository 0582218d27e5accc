//! Finds ids of the spec's statements in code, and tells code from tests.

use crate::repo::SourceFile;

/// An id that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Citation {
    /// The id.
    pub(crate) id: String,
    /// The file's path.
    pub(crate) path: String,
    /// The line, from 1.
    pub(crate) line: usize,
    /// Whether it stands in a test.
    pub(crate) in_test: bool,
}

/// Rooms that hold nothing but tests.
const TEST_ROOMS: &[&str] = &["sim", "interop", "fuzz"];

/// Whether a file is code that cites the spec. This room talks about ids and
/// is left out.
pub(crate) fn is_code(file: &SourceFile) -> bool {
    (file.is_rust() || file.has_extension("ts")) && file.room() != "xtask"
}

/// All citations of a file with one of these prefixes.
pub(crate) fn read(file: &SourceFile, prefixes: &[&str]) -> Vec<Citation> {
    let path_is_test = TEST_ROOMS.contains(&file.room())
        || file.path.contains("/tests/")
        || file.name() == "tests.rs"
        || file.name().ends_with("_tests.rs")
        || file.name().contains(".test.");
    let mut in_test = path_is_test;
    let mut citations = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        in_test |= line.trim_start().starts_with("#[cfg(test)]");
        for id in ids(line, prefixes) {
            let path = file.path.clone();
            citations.push(Citation { id, path, line: index + 1, in_test });
        }
    }
    citations
}

/// The ids in a text: a prefix and one or more groups of capitals and digits.
pub(crate) fn ids(text: &str, prefixes: &[&str]) -> Vec<String> {
    let is_id = |found: char| found.is_ascii_alphanumeric() || "-_".contains(found);
    text.split(|found| !is_id(found))
        .map(|word| word.trim_end_matches('-'))
        .filter(|word| {
            let mut groups = word.split('-');
            let known = groups.next().is_some_and(|first| prefixes.contains(&first));
            let groups: Vec<&str> = groups.collect();
            known && !groups.is_empty() && groups.iter().all(|group| is_group(group))
        })
        .map(str::to_owned)
        .collect()
}

fn is_group(text: &str) -> bool {
    let good = |found: char| found.is_ascii_uppercase() || found.is_ascii_digit();
    !text.is_empty() && text.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_as_whole_words() {
        let prefixes = ["QQ", "ZZ"];
        assert_eq!(ids("// (QQ-ONE), ZZ-TWO-3.", &prefixes), ["QQ-ONE", "ZZ-TWO-3"]);
        assert!(ids("AQQ-ONE QQ QQ-one QQ-O_N XX-ONE QQ--ONE", &prefixes).is_empty());
    }

    #[test]
    fn what_follows_the_test_module_is_a_test() {
        let text = "// QQ-A\n#[cfg(test)]\nmod tests {\n// QQ-B\n}\n".to_owned();
        let file = SourceFile { path: "core/src/a.rs".into(), text };
        let found = read(&file, &["QQ"]);
        assert_eq!(found.len(), 2);
        assert!(!found[0].in_test && found[1].in_test);
        assert_eq!(found[1].line, 4);
        let file = SourceFile { path: "core/tests/a.rs".into(), text: "// QQ-A".into() };
        assert!(read(&file, &["QQ"])[0].in_test);
    }
}
