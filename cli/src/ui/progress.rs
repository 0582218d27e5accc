//! Progress on standard error: a bar on a terminal, else a plain line now and
//! then. What does not live here: `--json` and the measuring of rates.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Style;
use super::format::{count, rate, size, time};

/// Time between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How often a bar is drawn at most, in times a second.
const DRAWS: u8 = 10;

/// How far a transfer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Bytes that are done.
    pub bytes: u64,
    /// Bytes in all, if that is known.
    pub total: Option<u64>,
    /// Files that are done.
    pub files: u32,
    /// Files in all.
    pub total_files: u32,
    /// Bytes a second.
    pub rate: u64,
    /// Estimate of the time that is left.
    pub left: Option<Duration>,
    /// The limit that the user set, in bytes a second.
    pub limit: Option<u64>,
}

impl State {
    /// All in one line.
    fn line(&self) -> String {
        let done = match self.total {
            None => size(self.bytes),
            Some(0) => format!("100%  {0} of {0}", size(0)),
            Some(total) => {
                let percent = u128::from(self.bytes.min(total)) * 100 / u128::from(total);
                format!("{percent}%  {} of {}", size(self.bytes), size(total))
            }
        };
        let mut line = format!(
            "{done}  {}  {} of {}",
            rate(self.rate),
            self.files,
            count(self.total_files.into(), "file", "files"),
        );
        if let Some(left) = self.left {
            line.push_str(&format!("  {} left", time(left)));
        }
        if let Some(limit) = self.limit {
            line.push_str(&format!("  limit {}", rate(limit)));
        }
        line
    }
}

/// Shows [`State`]s.
pub enum Progress {
    /// A bar that is drawn over and over.
    Bar(ProgressBar),
    /// Lines, for what is not a terminal.
    Lines {
        /// Where they go.
        out: Box<dyn Write + Send>,
        /// When the last was written.
        last: Option<Instant>,
    },
    /// Nothing, beside `--json`.
    Silent,
}

impl Progress {
    /// What fits standard error.
    pub fn on_stderr(style: Style) -> Self {
        if style.width.is_none() {
            return Self::Lines { out: Box::new(std::io::stderr()), last: None };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS));
        let template =
            if style.colour { "[{bar:24.green}] {wide_msg}" } else { "[{bar:24}] {wide_msg}" };
        if let Ok(template) = ProgressStyle::with_template(template) {
            bar.set_style(template.progress_chars("=> "));
        }
        Self::Bar(bar)
    }

    /// Shows `state` if it is time to. A stream that can't be written to is no
    /// reason to end a transfer.
    pub fn show(&mut self, state: &State, now: Instant) {
        match self {
            Self::Bar(bar) => {
                // Without a total the bar stays empty, and the line tells all.
                bar.set_length(state.total.unwrap_or(u64::MAX));
                bar.set_position(state.total.map_or(0, |_| state.bytes));
                bar.set_message(state.line());
            }
            Self::Lines { out, last } => {
                if last.is_none_or(|last| now.duration_since(last) >= LINE_INTERVAL) {
                    *last = Some(now);
                    let _ = writeln!(out, "{}", state.line());
                }
            }
            Self::Silent => {}
        }
    }

    /// Writes an escaped line beside the progress, without breaking a bar.
    pub fn note(&mut self, text: &str) {
        match self {
            // Before there is progress there is no bar to be kept whole.
            Self::Bar(bar) if bar.length().is_none() => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            Self::Bar(bar) => bar.suspend(|| {
                let _ = writeln!(std::io::stderr(), "{text}");
            }),
            Self::Lines { out, .. } => {
                let _ = writeln!(out, "{text}");
            }
            Self::Silent => {}
        }
    }

    /// Takes a bar away, before the summary is written.
    pub fn finish(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(data)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn state(bytes: u64) -> State {
        let left = Some(Duration::from_secs(67));
        State {
            bytes,
            total: Some(4_000_000),
            files: 1,
            total_files: 3,
            rate: 1_230_000,
            left,
            limit: None,
        }
    }

    #[test]
    fn a_line_tells_all() {
        assert_eq!(
            state(1_000_000).line(),
            "25%  1.00 MB of 4.00 MB  1.23 MB/s  1 of 3 files  1:07 left"
        );
        let limited = State { limit: Some(2_000_000), ..state(1_000_000) };
        assert!(limited.line().ends_with("1:07 left  limit 2.00 MB/s"));
        assert!(State { total: Some(0), ..State::default() }.line().starts_with("100%"));
        assert!(State { bytes: 5, total: Some(4), ..State::default() }.line().starts_with("100%"));
    }

    #[test]
    fn without_a_total_a_line_tells_what_is_known() {
        let state = State { total: None, left: None, ..state(1_000_000) };
        assert_eq!(state.line(), "1.00 MB  1.23 MB/s  1 of 3 files");
    }

    #[test]
    fn lines_come_every_few_seconds_only() {
        let (shared, start) = (Shared::default(), crate::clock::now());
        let mut progress = Progress::Lines { out: Box::new(shared.clone()), last: None };
        for second in 0..=10 {
            progress.show(&state(second * 100_000), start + Duration::from_secs(second));
        }
        progress.note("a note");
        progress.finish();
        let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        let first: Vec<&str> = text.lines().filter_map(|line| line.split("  ").next()).collect();
        assert_eq!(first, ["0%", "12%", "25%", "a note"]);
    }
}
