//! The question whether to take an offer, put after its list (`SC-SHOW-LIST`,
//! `TR-LIST-FIRST`): yes, no, a part of it, or the whole list first. What does not
//! live here: the list ([`super::listing`]) and the rules (`taking`).

use std::io::{self, BufRead, Read, Write};

use passel_proto::policy::Choice;

use super::format::{contents_of, size};
use super::listing::{list_all, listing};
use crate::taking::{Pick, Taking};

/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 4_096;
/// How often an answer may be unclear.
const MAX_UNCLEAR: usize = 10;

/// Shows the offer with `remarks` on it and asks until there is an answer. The end
/// of the input, and an answer that never gets clear, mean no, which is none.
pub fn ask(
    taking: &Taking,
    note: Option<&str>,
    remarks: &[String],
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> io::Result<Option<Choice>> {
    out.write_all(listing(&taking.manifest, note).as_bytes())?;
    for remark in remarks {
        writeln!(out, "Note that {remark}.")?;
    }
    let mut choice = taking.choose(&Pick::All);
    let mut is_listed = false;
    for _ in 0..MAX_UNCLEAR {
        write!(out, "Accept? [Y/n/s = select/l = list all] ")?;
        let Some(answer) = read(input, out)? else { return Ok(None) };
        match answer.to_lowercase().as_str() {
            "" | "y" | "yes" => match taking.check(&choice) {
                Ok(()) => return Ok(Some(choice)),
                Err(error) => writeln!(out, "That cannot be taken: {}.", error.text)?,
            },
            "n" | "no" => return Ok(None),
            "l" | "list" => {
                list_all(&taking.manifest, out)?;
                is_listed = true;
            }
            "s" | "select" => {
                if !is_listed {
                    list_all(&taking.manifest, out)?;
                    is_listed = true;
                }
                write!(out, "Which? Numbers such as 1-3,7 or patterns such as *.jpg: ")?;
                let Some(answer) = read(input, out)? else { return Ok(None) };
                match Pick::parse(&answer, taking.manifest.len()) {
                    Ok(pick) => {
                        choice = taking.choose(&pick);
                        let what = contents_of(choice.files());
                        writeln!(out, "Selected: {what}, {}.", size(choice.bytes()))?;
                    }
                    Err(error) => {
                        let error = passel_proto::escape::for_terminal(&error);
                        writeln!(out, "That was not understood: {error}.")?;
                    }
                }
            }
            _ => writeln!(out, "Please answer y, n, s or l.")?,
        }
    }
    Ok(None)
}

fn read(input: &mut dyn BufRead, out: &mut dyn Write) -> io::Result<Option<String>> {
    out.flush()?;
    let mut line = Vec::new();
    if (&mut *input).take(MAX_ANSWER).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taking::Patterns;
    use passel_proto::ids::FileIndex;
    use passel_proto::manifest::{Entry, EntryKind, Manifest, ManifestBuilder};
    use passel_proto::path::SafePath;
    use passel_proto::policy::Policy;
    use std::sync::Arc;

    fn sample() -> Manifest {
        let mut builder = ManifestBuilder::new();
        for (path, size) in [
            ("live", Some(600_000_000)),
            ("notes.txt", Some(1_500)),
            ("写真", None),
            ("写真/a.jpg", Some(2_000_000)),
            ("写真/b", None),
            ("写真/b/c.jpg", Some(500_000)),
        ] {
            let file = EntryKind::File { size, executable: false, mime: None, root: None };
            let kind = if size.is_some() { file } else { EntryKind::Directory };
            let path = SafePath::parse(path).unwrap();
            builder.push(&Entry { path, kind, modified: None }).unwrap();
        }
        builder.finish().unwrap()
    }

    fn taking(policy: Policy) -> Taking {
        Taking { manifest: Arc::new(sample()), policy, patterns: Patterns::default() }
    }

    fn answer_under(policy: Policy, mut input: &[u8]) -> (Option<Choice>, String) {
        let mut out = Vec::new();
        let taking = taking(policy);
        let remarks = taking.remarks(&taking.choose(&Pick::All), Some(1_000_000_000));
        let choice = ask(&taking, None, &remarks, &mut input, &mut out).unwrap();
        (choice, String::from_utf8(out).unwrap())
    }

    fn answer(input: &[u8]) -> (Option<Choice>, String) {
        answer_under(Policy::unlimited(), input)
    }

    #[test]
    fn enter_and_yes_accept_all_no_and_the_end_of_input_decline() {
        for input in ["\n", "y\n", "YES\n", "Y"] {
            let choice = answer(input.as_bytes()).0.unwrap();
            assert_eq!(choice.selection(), None, "{input:?}");
        }
        for input in ["", "n\n", "No\n", "maybe\nn\n", "\u{fffd}\n", "s\n", &"x\n".repeat(99)] {
            assert!(answer(input.as_bytes()).0.is_none(), "{input:?}");
        }
    }

    // SC-SHOW-LIST, TR-LIST-FIRST
    #[test]
    fn l_lists_every_entry_and_asks_again() {
        let (accepted, text) = answer(b"l\ny\n");
        let (before, after) = text.split_once("Accept?").unwrap();
        assert!(before.starts_with("Offered: 4 files in 2 directories, "), "{before}");
        for (_, entry) in sample().iter() {
            let path = entry.path.as_str();
            let line = after.lines().find(|line| line.contains(&format!("  {path}")));
            let size = entry.size().map(size).unwrap_or_default();
            assert!(line.is_some_and(|line| line.contains(&size)), "{path}: {after}");
        }
        assert!(accepted.is_some());
        assert!(text.contains("6  写真/b/c.jpg  (500 kB)\n"), "{text}");
        assert_eq!(text.matches("Accept?").count(), 2);
    }

    #[test]
    fn a_part_can_be_selected_by_number_or_pattern_and_again() {
        let (choice, text) = answer(b"s\n2,5\ny\n");
        let choice = choice.unwrap();
        let picked: Vec<u32> = (0..6).filter(|index| choice.contains(FileIndex(*index))).collect();
        assert_eq!(picked, [1, 2, 4, 5], "with the directories above it");
        assert!(text.contains("Selected: 2 files, 501 kB."), "{text}");
        let (choice, text) = answer(b"s\n99\ns\n*.jpg\ny\n");
        assert_eq!(choice.unwrap().files(), 2);
        assert!(text.contains("That was not understood: '99' is not in the list."), "{text}");
    }

    #[test]
    fn what_is_above_a_limit_is_said_and_a_yes_counts_unless_the_limit_was_asked_for() {
        let (choice, text) = answer(b"y\n");
        assert!(text.contains("Note that above 500 MB are live (600 MB)."), "{text}");
        assert_eq!(choice.unwrap().files(), 4);
        let limited = Policy::default();
        let (choice, text) = answer_under(limited, b"y\n");
        assert!(text.contains("live is left out: too large (600 MB)"), "{text}");
        assert_eq!(choice.unwrap().files(), 3);
    }

    #[test]
    fn a_limit_on_the_whole_lets_a_part_be_selected() {
        let few = Policy { max_files: Some(1), ..Policy::unlimited() };
        let (choice, text) = answer_under(few, b"y\ns\nnotes.txt\ny\n");
        assert_eq!(choice.unwrap().files(), 1);
        assert!(text.contains("That cannot be taken: there are more files"), "{text}");
    }

    #[test]
    fn too_little_room_is_said() {
        let taking = taking(Policy::unlimited());
        let remarks = taking.remarks(&taking.choose(&Pick::All), Some(1_000));
        let said = remarks.iter().any(|remark| remark.starts_with("only 1.00 kB of the disk"));
        assert!(said, "{remarks:?}");
    }
}
