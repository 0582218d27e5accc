//! What `--json` writes: one JSON object a line, described for users in
//! `docs/json.md`, which the tests hold against this file. What does not live
//! here: when events arise, and the text for people (`ui`).

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::manifest::Manifest;
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

use crate::exit::{Failure, blame_name};

/// Most entries that an `offer` event lists.
pub const MAX_LISTED: usize = 1_000;
/// Shortest time between two `progress` events.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// One line of `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Sender, first of all: how the other side gets here.
    Invite {
        /// The link. It holds the secret, if the two sides have no other.
        link: String,
        /// The code, if there is one. It holds the secret, likewise.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// `serve`, first of all: where the rendezvous can be reached.
    Listening {
        /// The server's address for `--server`.
        url: String,
    },
    /// Nobody has come yet.
    Waiting,
    /// The other side is there, and ways to it are tried.
    Connecting,
    /// The other side has proved that it knows the secret.
    Connected {
        /// The way that is used.
        path: Path,
        /// Version of DTLS, such as `1.3`.
        dtls: String,
        /// The cipher suite's name in the registry.
        suite: String,
        /// The authentication's name in the registry.
        auth: String,
    },
    /// Two people, or programs in their place, have to compare this before anything
    /// else happens.
    Sas {
        /// The words.
        words: [String; 3],
        /// The digits, zeros in front included.
        digits: String,
    },
    /// What is offered.
    Offer {
        /// Number of files.
        files: u32,
        /// Number of directories.
        directories: u32,
        /// Sum of the sizes that are known.
        bytes: u64,
        /// The sender's note, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// The first entries, at most [`MAX_LISTED`].
        entries: Vec<OfferedEntry>,
    },
    /// The receiver wants it.
    Accepted,
    /// A side paused the transfer.
    Paused {
        /// Whether it was the other one.
        by_peer: bool,
    },
    /// A side ended its pause; data flows once neither side has one.
    Resumed {
        /// Whether it was the other one.
        by_peer: bool,
    },
    /// The connection was lost, and the transfer can go on over another one.
    Lost {
        /// Bytes of files that went over it, from this side's view.
        moved: u64,
        /// What a person would read.
        text: String,
    },
    /// The next attempt to connect again.
    Reconnecting {
        /// Its number since the loss, from 1.
        attempt: u32,
        /// How many there will be, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        of: Option<u32>,
        /// Seconds until it begins.
        in_s: u64,
    },
    /// The transfer goes on over another connection.
    Continued {
        /// Bytes that were there already.
        bytes: u64,
    },
    /// How far it is; at most four a second.
    Progress {
        /// Bytes that are done.
        bytes: u64,
        /// Bytes in all, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// Files that are done.
        files: u32,
        /// Bytes a second, over the last seconds.
        rate: u64,
        /// Estimate of the seconds that are left, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        eta_s: Option<u64>,
    },
    /// A file was finished or failed.
    File {
        /// Its path in the offer.
        path: String,
        /// How it went.
        status: FileStatus,
    },
    /// Receiver: an entry of the top level has its final name.
    Received {
        /// Where it lies, as a path on this computer.
        path: String,
    },
    /// Everything is done, and both sides agree on it.
    Completed {
        /// Files that were transferred.
        files: u32,
        /// Their bytes.
        bytes: u64,
        /// How long it took from the acceptance on.
        seconds: f64,
        /// Bytes a second on average.
        rate: u64,
        /// The receipt as hexadecimal digits, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        receipt: Option<String>,
    },
    /// It is over, without success.
    Failed {
        /// The registry's name for it, if it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'static str>,
        /// The exit code that follows.
        exit: u8,
        /// What a person would read.
        text: String,
        /// Whose fault it is, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        blame: Option<&'static str>,
    },
    /// Something that does not end the transfer.
    Warning {
        /// What a person would read.
        text: String,
    },
}

/// The network path of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Path {
    /// This side's address.
    pub local: SocketAddr,
    /// The other side's address.
    pub remote: SocketAddr,
    /// `direct` or `relay`.
    pub kind: PathKind,
}

/// Whether datagrams go straight to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// From computer to computer.
    Direct,
    /// Through a relay, which sees only sealed bytes.
    Relay,
}

/// How it went with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// It is whole at the receiver.
    Done,
    /// It failed; the others go on.
    Failed,
    /// The receiver did not want it.
    Skipped,
}

/// An entry of an `offer` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfferedEntry {
    /// Its path, components joined by `/`.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Its length, if it is a file of known length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl Event {
    /// The event for an offer.
    pub fn offer(manifest: &Manifest, note: Option<String>) -> Self {
        let entries = manifest.iter().take(MAX_LISTED).map(|(_, entry)| OfferedEntry {
            path: entry.path.as_str().to_owned(),
            directory: entry.is_directory(),
            size: entry.size(),
        });
        Self::Offer {
            files: manifest.files(),
            directories: manifest.directories(),
            bytes: manifest.total_bytes(),
            note,
            entries: entries.collect(),
        }
    }

    /// The event for a failure.
    pub fn failed(failure: &Failure) -> Self {
        Self::Failed {
            code: failure.code,
            exit: failure.exit.code(),
            text: failure.to_string(),
            blame: failure.blame.map(blame_name),
        }
    }

    /// Writes the event as one line and flushes it. Control, invisible and
    /// direction-changing characters are escaped, so that the line is also safe
    /// on a terminal.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = Vec::with_capacity(256);
        self.serialize(&mut Serializer::with_formatter(&mut line, Careful))?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()
    }
}

/// Compact JSON in which whatever may not stand on a terminal is escaped.
struct Careful;

impl Formatter for Careful {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut buffer = [0; 4];
        for c in fragment.chars() {
            let text: &str = c.encode_utf8(&mut buffer);
            if passel_proto::escape::for_terminal(text) == text {
                writer.write_all(text.as_bytes())?;
            } else {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }
}

/// Lets a `progress` event through at most every [`PROGRESS_INTERVAL`].
#[derive(Debug, Default)]
pub struct ProgressGate {
    last: Option<Instant>,
}

impl ProgressGate {
    /// Whether an event may be written at `now`; if so, `now` counts as the last.
    pub fn admits(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.duration_since(last) >= PROGRESS_INTERVAL);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Exit, Origin};
    use passel_proto::error::{Error, ErrorCode};

    const DOCUMENT: &str = include_str!("../../docs/json.md");

    fn line(event: &Event) -> String {
        let mut out = Vec::new();
        event.write_to(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (line, rest) = text.split_once('\n').unwrap();
        assert_eq!(rest, "");
        line.to_owned()
    }

    fn samples() -> Vec<Event> {
        let entry = |path: &str, size: Option<u64>| OfferedEntry {
            path: path.to_owned(),
            directory: size.is_none(),
            size,
        };
        vec![
            Event::Invite {
                link: "http://192.0.2.7:41000/t/0q3s…#pV1…".to_owned(),
                code: Some("7-crystal-clock".to_owned()),
            },
            Event::Waiting,
            Event::Connecting,
            Event::Connected {
                path: Path {
                    local: "192.0.2.7:50000".parse().unwrap(),
                    remote: "[2001:db8::9]:50001".parse().unwrap(),
                    kind: PathKind::Direct,
                },
                dtls: "1.3".to_owned(),
                suite: "XWING_CHACHA20POLY1305_SHA256".to_owned(),
                auth: "CODE".to_owned(),
            },
            Event::Sas {
                words: ["crystal", "clock", "zoo"].map(str::to_owned),
                digits: "0427".to_owned(),
            },
            Event::Offer {
                files: 1,
                directories: 1,
                bytes: 1_024,
                note: Some("as promised".to_owned()),
                entries: vec![entry("写真", None), entry("写真/a.jpg", Some(1_024))],
            },
            Event::Accepted,
            Event::Lost { moved: 512, text: "The network connection was lost.".to_owned() },
            Event::Reconnecting { attempt: 2, of: Some(5), in_s: 4 },
            Event::Continued { bytes: 512 },
            Event::Progress {
                bytes: 512,
                total: Some(1_024),
                files: 0,
                rate: 2_048,
                eta_s: Some(1),
            },
            Event::File { path: "写真/a.jpg".to_owned(), status: FileStatus::Done },
            Event::Received { path: "./写真 (1)".to_owned() },
            Event::Completed {
                files: 1,
                bytes: 1_024,
                seconds: 0.5,
                rate: 2_048,
                receipt: Some("9f2c".to_owned()),
            },
            Event::failed(&Failure::of(
                &Error::new(passel_proto::error::Blame::Circumstance, ErrorCode::Declined, ""),
                Origin::Remote,
            )),
            Event::Warning { text: "photos/link is a symbolic link and was left out".to_owned() },
        ]
    }

    #[test]
    fn every_event_is_one_line_as_documented() {
        let lines: Vec<String> = samples().iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"));
        for line in lines {
            assert!(DOCUMENT.contains(&line), "not in docs/json.md: {line}");
        }
    }

    #[test]
    fn absent_values_are_left_out() {
        let invite = Event::Invite { link: "x".to_owned(), code: None };
        assert_eq!(line(&invite), r#"{"event":"invite","link":"x"}"#);
        let failure = Failure::new(Exit::Server, "no route", "Try again.");
        assert_eq!(
            line(&Event::failed(&failure)),
            r#"{"event":"failed","exit":4,"text":"No route. Try again."}"#
        );
    }

    #[test]
    fn nothing_that_steers_a_terminal_passes_and_json_says_the_same() {
        let text = "a\u{1b}[2J\u{9b}31m\u{202e}\"\\\n\u{200b}\u{e0041}é";
        let line = line(&Event::Warning { text: text.to_owned() });
        assert_eq!(passel_proto::escape::for_terminal(&line), line);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["text"], text);
    }

    #[test]
    fn progress_comes_at_most_four_times_a_second() {
        let (start, mut gate) = (crate::clock::now(), ProgressGate::default());
        let passed = (0..=1_000)
            .filter(|ms| gate.admits(start + Duration::from_millis(*ms)))
            .collect::<Vec<_>>();
        assert_eq!(passed, [0, 250, 500, 750, 1_000]);
    }
}
