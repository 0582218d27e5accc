//! Says what happens: to a person on standard error, or to a program as JSON
//! lines on standard output. One place, so that no command can say a thing to
//! one and forget the other.

use std::io::Write;
use std::time::Instant;

use crate::events::{Event, ProgressGate};
use crate::exit::{Exit, Failure};
use crate::machine::{Machine, Real};
use crate::ui::Style;
use crate::ui::progress::{Progress, State};

/// Where news goes.
pub(super) struct Report {
    json: bool,
    /// Where programs read.
    out: Box<dyn Write>,
    pub(super) style: Style,
    progress: Progress,
    gate: ProgressGate,
}

impl Report {
    pub(super) fn new(machine: &impl Machine, json: bool) -> Self {
        let style = if json { Style::plain() } else { Style::of_stderr() };
        let progress = if json { Progress::Silent } else { Progress::on_stderr(style) };
        Self { json, out: machine.output(), style, progress, gate: ProgressGate::default() }
    }

    pub(super) fn human() -> Self {
        Self::new(&Real, false)
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// An event for programs; people read what [`Report::say`] says.
    pub(super) fn event(&mut self, event: &Event) {
        if self.json {
            // Whoever closed standard output does not want to know.
            let _ = event.write_to(&mut self.out);
        }
    }

    /// A line, or lines, for people. Names in it must be escaped.
    pub(super) fn say(&mut self, text: &str) {
        if !self.json {
            self.progress.note(text.trim_end_matches('\n'));
        }
    }

    /// A warning for both. `text` is an escaped clause without a full stop.
    pub(super) fn warn(&mut self, text: &str) {
        self.event(&Event::Warning { text: format!("{text}.") });
        self.say(&format!("Warning: {text}."));
    }

    pub(super) fn progress(&mut self, state: &State, now: Instant) {
        self.progress.show(state, now);
        if self.json && self.gate.admits(now) {
            self.event(&Event::Progress {
                bytes: state.bytes,
                total: state.total,
                files: state.files,
                rate: state.rate,
                eta_s: state.left.map(|left| left.as_secs()),
            });
        }
    }

    /// Takes the progress away, for what is written last.
    pub(super) fn end_progress(&mut self) {
        self.progress.finish();
        if !self.json {
            self.progress = Progress::Lines { out: Box::new(std::io::stderr()), last: None };
        }
    }

    /// Says that it is over, without success, and gives what the program exits with.
    pub(super) fn fail(&mut self, failure: &Failure) -> Exit {
        self.end_progress();
        self.event(&Event::failed(failure));
        if !self.json {
            let _ = writeln!(std::io::stderr(), "passel: {failure}");
        }
        failure.exit
    }

    /// What the program exits with after a transfer that was completed.
    pub(super) fn done(failed_files: u32) -> Exit {
        if failed_files == 0 { Exit::Ok } else { Exit::Partial }
    }
}
