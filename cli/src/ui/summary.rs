//! The last lines on either side: what was transferred, how fast, where it is,
//! and what was left out. What does not live here: failures (`exit`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use passel_proto::connection::Completion;
use passel_proto::escape::for_terminal;

use super::format::{average, count, rate, size, time};

/// What a transfer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Files that were transferred.
    pub files: u32,
    /// Files that were not.
    pub failed: u32,
    /// Bytes of those that were.
    pub bytes: u64,
    /// From the acceptance to the end.
    pub time: Duration,
}

impl Totals {
    /// Those of a transfer that took `time`.
    pub fn of(completion: &Completion, time: Duration) -> Self {
        Self {
            files: completion.delivered,
            failed: completion.failed,
            bytes: completion.bytes,
            time,
        }
    }

    /// A line about the files that failed, or nothing.
    fn failures(&self) -> String {
        match self.failed {
            0 => String::new(),
            failed => {
                let files = count(failed.into(), "file was", "files were");
                format!("Warning: {files} not transferred.\n")
            }
        }
    }

    fn line(&self, verb: &str) -> String {
        format!(
            "{verb} {}, {} in {} ({})",
            count(self.files.into(), "file", "files"),
            size(self.bytes),
            time(self.time),
            rate(average(self.bytes, self.time))
        )
    }
}

/// The sender's summary, with the warnings of the walk, which are escaped.
pub fn sent(totals: &Totals, warnings: &[String]) -> String {
    let mut out = totals.line("Sent");
    out.push_str(". The receiver has confirmed them.\n");
    out.push_str(&totals.failures());
    for warning in warnings {
        let _ = writeln!(out, "Warning: {warning}.");
    }
    out
}

/// The receiver's summary, with the directory and the names that were taken.
pub fn received(totals: &Totals, out_dir: &Path, renamed: &BTreeMap<String, String>) -> String {
    let mut out = totals.line("Received");
    let _ = writeln!(out, " into {}.", for_terminal(&out_dir.to_string_lossy()));
    out.push_str(&totals.failures());
    for (name, used) in renamed {
        let (name, used) = (for_terminal(name), for_terminal(used));
        let _ = writeln!(out, "{name} existed already; what arrived is {used}.");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOTALS: Totals =
        Totals { files: 2, failed: 0, bytes: 3_000_000, time: Duration::from_millis(1_500) };

    #[test]
    fn the_sender_reads_of_the_confirmation_and_of_what_was_left_out() {
        let warnings = ["photos/link is a symbolic link and was left out".to_owned()];
        insta::assert_snapshot!(sent(&TOTALS, &warnings));
    }

    #[test]
    fn both_read_that_files_failed() {
        let totals = Totals { failed: 3, ..TOTALS };
        for text in [sent(&totals, &[]), received(&totals, Path::new("."), &BTreeMap::new())] {
            assert!(text.contains("Warning: 3 files were not transferred."), "{text}");
        }
        assert!(!sent(&TOTALS, &[]).contains("not transferred"));
    }

    #[test]
    fn the_receiver_reads_of_new_names() {
        let renamed = [("a\u{1b}".to_owned(), "a\u{1b} (1)".to_owned())].into();
        insta::assert_snapshot!(received(&TOTALS, Path::new("downloads"), &renamed));
    }
}
