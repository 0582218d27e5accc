//! The question whether both screens show the same words, where the two sides
//! share no secret. It is asked whatever was to be accepted unasked (`HS-SAS-GATE`).

use std::io::{BufRead, Read};

use passel_proto::handshake::Sas;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::on_thread;
use super::report::Report;
use crate::events::Event;
use crate::ui::compare::{Answer, ask, digits, shown, words};

/// Longest command line that is read, in bytes.
const MAX_LINE: u64 = 1024;

/// A line of standard input with `--json` (`docs/json.md`).
#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
enum Line {
    Sas { matches: bool },
    Cancel,
}

/// Shows what is to be compared and asks, on a thread that nobody waits for.
pub(super) fn compare(sas: &Sas, report: &mut Report) -> oneshot::Receiver<Answer> {
    report.event(&Event::Sas { words: words(sas), digits: digits(sas) });
    report.say(&shown(sas, report.style));
    let json = report.is_json();
    on_thread(move || {
        let mut input = std::io::stdin().lock();
        if json {
            return read_lines(&mut input);
        }
        ask(&mut input, &mut std::io::stderr()).unwrap_or(Answer::None)
    })
}

/// The first line that answers; others are passed over.
fn read_lines(input: &mut impl BufRead) -> Answer {
    loop {
        let mut line = Vec::new();
        match (&mut *input).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Answer::None,
            Ok(_) => match serde_json::from_slice(&line) {
                Ok(Line::Sas { matches: true }) => return Answer::Same,
                Ok(Line::Sas { matches: false }) => return Answer::Different,
                Ok(Line::Cancel) => return Answer::None,
                Err(error) => tracing::warn!(%error, "a line on standard input is no answer"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // HS-SAS-GATE
    #[test]
    fn only_a_clear_line_is_an_answer() {
        let read = |text: &str| read_lines(&mut text.as_bytes());
        let same = r#"{"command":"sas","matches":true}"#;
        assert_eq!(read(same), Answer::Same);
        assert_eq!(read(r#"{"command":"sas","matches":false}"#), Answer::Different);
        assert_eq!(read("{\"command\":\"cancel\"}\n"), Answer::None);
        assert_eq!(read(&format!("y\n\n{{\"command\":\"sas\"}}\n{same}\n")), Answer::Same);
        for text in ["", "y\nyes\n", r#"{"command":"sas","matches":"true"}"#] {
            assert_eq!(read(text), Answer::None, "{text}");
        }
    }
}
