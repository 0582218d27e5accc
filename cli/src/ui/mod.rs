//! What a person reads: the invitation, the question, progress and the summary,
//! as text that is made here and written by the caller. Names are escaped on the
//! way in. What does not live here: `--json` (`events`) and the sentences for
//! failures (`exit`).

pub mod compare;
pub mod format;
pub mod invite;
pub mod listing;
pub mod log;
pub mod progress;
pub mod question;
pub mod summary;

/// How text may look on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether colours may be used.
    pub colour: bool,
    /// Columns, if it is a terminal.
    pub width: Option<u16>,
}

impl Style {
    /// What standard error allows. `NO_COLOR` is honoured, if it is not empty.
    pub fn of_stderr() -> Self {
        let term = console::Term::stderr();
        let width = term.size_checked().map(|(_, columns)| columns);
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: width.is_some() && !no_colour && console::colors_enabled_stderr(), width }
    }

    /// Neither colours nor a width: for files, pipes and tests.
    pub fn plain() -> Self {
        Self { colour: false, width: None }
    }

    /// `text` in bold, if that may be.
    fn bold(self, text: &str) -> String {
        if self.colour { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
