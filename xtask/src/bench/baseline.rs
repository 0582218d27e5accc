//! The recorded counts, and how new ones stand to them.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

/// What was recorded, by the path's name.
pub(super) struct Baseline(BTreeMap<String, u64>);

/// How a count stands to the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// About the same.
    Same { was: u64, is: u64 },
    /// More, beyond the tolerance.
    More { was: u64, is: u64 },
    /// Fewer, beyond the tolerance.
    Fewer { was: u64, is: u64 },
    /// Nothing is recorded of this path.
    New { is: u64 },
    /// It is recorded and there is no such path.
    Gone { was: u64 },
}

impl Verdict {
    /// Whether the check fails on it.
    pub(super) fn is_bad(self) -> bool {
        matches!(self, Self::More { .. } | Self::New { .. } | Self::Gone { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Same { was, is } => write!(f, "{is:>10}  as recorded ({was})"),
            Self::More { was, is } => write!(f, "{is:>10}  MORE than recorded ({was})"),
            Self::Fewer { was, is } => write!(f, "{is:>10}  fewer than recorded ({was})"),
            Self::New { is } => write!(f, "{is:>10}  NOT recorded"),
            Self::Gone { was } => write!(f, "         –  recorded ({was}), and GONE"),
        }
    }
}

impl Baseline {
    /// Reads what [`text`] wrote.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|error| format!("the baseline: {error}"))?;
        let count = |(path, value): (String, Value)| {
            let count = value.as_integer().and_then(|count| u64::try_from(count).ok());
            count.map(|count| (path.clone(), count)).ok_or(format!("{path} has no count"))
        };
        Ok(Self(table.into_iter().map(count).collect::<Result<_, _>>()?))
    }

    /// Every path that is counted or recorded.
    pub(super) fn compare(
        &self,
        counts: &[(String, u64)],
        tolerance: f64,
    ) -> Vec<(String, Verdict)> {
        let mut verdicts: Vec<(String, Verdict)> = Vec::new();
        for (path, is) in counts {
            let verdict = match self.0.get(path) {
                Some(was) => compare(*was, *is, tolerance),
                None => Verdict::New { is: *is },
            };
            verdicts.push((path.clone(), verdict));
        }
        for (path, was) in &self.0 {
            if !counts.iter().any(|(counted, _)| counted == path) {
                verdicts.push((path.clone(), Verdict::Gone { was: *was }));
            }
        }
        verdicts
    }
}

fn compare(was: u64, is: u64, tolerance: f64) -> Verdict {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let (before, now) = (was as f64, is as f64);
    if now > before * (1.0 + tolerance) {
        Verdict::More { was, is }
    } else if now < before * (1.0 - tolerance) {
        Verdict::Fewer { was, is }
    } else {
        Verdict::Same { was, is }
    }
}

/// The file with these counts, and the comment that stood at its head.
pub(super) fn text(before: &str, counts: &[(String, u64)]) -> String {
    let head = before.lines().take_while(|line| line.starts_with('#'));
    let counts = counts.iter().map(|(path, count)| format!("{path} = {count}"));
    let lines: Vec<String> = head.map(str::to_owned).chain(counts).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_new_and_gone_are_bad() {
        let baseline = Baseline::parse("# Head.\na = 100\nb = 100\nc = 100\nd = 5\n").unwrap();
        let counts = [("a", 103), ("b", 104), ("c", 96), ("e", 1)];
        let counts = counts.map(|(path, count)| (path.to_owned(), count));
        let verdicts = baseline.compare(&counts, 0.03);
        let expected = [
            ("a", Verdict::Same { was: 100, is: 103 }, false),
            ("b", Verdict::More { was: 100, is: 104 }, true),
            ("c", Verdict::Fewer { was: 100, is: 96 }, false),
            ("e", Verdict::New { is: 1 }, true),
            ("d", Verdict::Gone { was: 5 }, true),
        ];
        for ((path, verdict), (name, wanted, bad)) in verdicts.iter().zip(expected) {
            assert_eq!((path.as_str(), *verdict, verdict.is_bad()), (name, wanted, bad));
        }
        assert_eq!(verdicts.len(), expected.len());
    }

    #[test]
    fn what_is_written_is_read_again_below_the_same_head() {
        let counts = [("seal-and-open".to_owned(), 7)];
        let text = text("# Head.\n# More.\nold = 1\n", &counts);
        assert_eq!(text, "# Head.\n# More.\nseal-and-open = 7\n");
        let verdicts = Baseline::parse(&text).unwrap().compare(&counts, 0.0);
        assert_eq!(verdicts[0].1, Verdict::Same { was: 7, is: 7 });
        assert!(Baseline::parse("a = \"x\"").is_err());
    }
}
