//! Pausing, resuming, limiting and cancelling while a transfer runs: single keys in a
//! terminal, JSON lines on standard input with `--json`. What they do to the
//! transfer is `drive`'s business.

use std::io::{BufRead, IsTerminal, Read};
use std::num::NonZeroU64;

use serde::Deserialize;
use tokio::sync::mpsc;

/// Longest command line that is read, in bytes.
const MAX_LINE: u64 = 1024;
/// Commands that may wait; a flood of keys is as good as one.
const WAITING: usize = 16;

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Control {
    /// No more data for now.
    Pause,
    /// Go on.
    Resume,
    /// End the transfer, as Ctrl-C does.
    Cancel,
    /// Send no faster than so many bytes a second, or as fast as it goes.
    #[serde(skip)]
    Limit(Option<NonZeroU64>),
}

/// A line of standard input with `--json` (`docs/json.md`).
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Plain {
        command: Control,
    },
    Limit {
        command: Limit,
        /// Must be there, so that a slip of the pen lifts no limit.
        #[serde(deserialize_with = "Option::deserialize")]
        bytes_per_second: Option<NonZeroU64>,
    },
}

/// The command that brings a number with it.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Limit {
    Limit,
}

impl Line {
    fn control(self) -> Control {
        match self {
            Line::Plain { command } => command,
            Line::Limit { command: Limit::Limit, bytes_per_second } => {
                Control::Limit(bytes_per_second)
            }
        }
    }
}

/// Where controls come from.
pub(super) struct Controls {
    source: Option<mpsc::Receiver<Control>>,
    /// Whether single keys are read, so that it is worth telling.
    pub(super) keys: bool,
    _terminal: Option<terminal::Keys>,
}

impl Controls {
    /// None at all.
    pub(super) fn off() -> Self {
        Self { source: None, keys: false, _terminal: None }
    }

    /// Listens to standard input from now on: to lines for programs, to keys in
    /// a terminal, and to nothing else.
    pub(super) fn start(json: bool) -> Self {
        let (send, controls) = mpsc::channel(WAITING);
        let terminal =
            if json || !std::io::stdin().is_terminal() { None } else { terminal::Keys::start() };
        let keys = terminal.is_some();
        if !json && !keys {
            return Self::off();
        }
        // A read cannot be interrupted, so the thread ends with the process.
        std::thread::spawn(move || if json { read_lines(&send) } else { read_keys(&send) });
        Self { source: Some(controls), keys, _terminal: terminal }
    }

    /// Whether standard input is listened to.
    pub(super) fn is_on(&self) -> bool {
        self.source.is_some()
    }

    /// The next control; waits for ever if there is none.
    pub(super) async fn next(&mut self) -> Control {
        if let Some(source) = &mut self.source {
            if let Some(control) = source.recv().await {
                return control;
            }
            self.source = None;
        }
        std::future::pending().await
    }
}

fn read_keys(send: &mpsc::Sender<Control>) {
    let mut input = std::io::stdin().lock();
    let mut key = [0];
    while matches!(input.read(&mut key), Ok(1)) {
        if let Some(control) = of_key(key[0])
            && send.blocking_send(control).is_err()
        {
            return;
        }
    }
}

fn of_key(key: u8) -> Option<Control> {
    match key.to_ascii_lowercase() {
        b'p' => Some(Control::Pause),
        b'r' => Some(Control::Resume),
        b'q' => Some(Control::Cancel),
        _ => None,
    }
}

fn read_lines(send: &mpsc::Sender<Control>) {
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        match (&mut input).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => match serde_json::from_slice::<Line>(&line) {
                Ok(line) => {
                    if send.blocking_send(line.control()).is_err() {
                        return;
                    }
                }
                // What is not understood is no reason to end a transfer.
                Err(error) => tracing::warn!(%error, "a line on standard input is no command"),
            },
        }
    }
}

/// Puts the terminal back before the process ends in a hurry.
pub(super) fn restore_terminal() {
    terminal::restore();
}

#[cfg(unix)]
mod terminal {
    //! A terminal that hands over single keys without showing them, and becomes
    //! what it was when it is no longer needed.

    use std::sync::Mutex;

    use rustix::process::getpgrp;
    use rustix::stdio::stdin;
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    pub(super) struct Keys;

    impl Keys {
        /// None for a process in the background: it would be stopped.
        pub(super) fn start() -> Option<Self> {
            if tcgetpgrp(stdin()).ok()? != getpgrp() {
                return None;
            }
            let before = tcgetattr(stdin()).ok()?;
            let mut keys = before.clone();
            // Ctrl-C and Ctrl-Z stay what they are.
            keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            if let Ok(mut saved) = BEFORE.lock() {
                *saved = Some(before);
            }
            tcsetattr(stdin(), OptionalActions::Now, &keys).ok()?;
            Some(Self)
        }
    }

    impl Drop for Keys {
        fn drop(&mut self) {
            restore();
        }
    }

    pub(super) fn restore() {
        if let Ok(mut saved) = BEFORE.lock()
            && let Some(before) = saved.take()
        {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
        }
    }
}

#[cfg(not(unix))]
mod terminal {
    //! Systems whose terminals are not asked for single keys.

    pub(super) struct Keys;

    impl Keys {
        pub(super) fn start() -> Option<Self> {
            None
        }
    }

    pub(super) fn restore() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_lines_mean_the_same() {
        for (key, line, control) in [
            (b'p', r#"{"command":"pause"}"#, Control::Pause),
            (b'R', r#"{"command":"resume","more":1}"#, Control::Resume),
            (b'q', "{\"command\": \"cancel\"}\n", Control::Cancel),
        ] {
            assert_eq!(of_key(key), Some(control));
            assert_eq!(serde_json::from_str::<Line>(line).unwrap().control(), control);
        }
        assert_eq!(of_key(b'x'), None);
        assert!(serde_json::from_str::<Line>(r#"{"command":"format"}"#).is_err());
        let limit = |number: &str| {
            let line = format!("{{\"command\":\"limit\",\"bytes_per_second\":{number}}}");
            serde_json::from_str::<Line>(&line).map(Line::control)
        };
        assert_eq!(limit("7").unwrap(), Control::Limit(NonZeroU64::new(7)));
        assert_eq!(limit("null").unwrap(), Control::Limit(None));
        assert!(serde_json::from_str::<Line>(r#"{"command":"limit"}"#).is_err());
        assert!(limit("0").is_err() && limit("-1").is_err() && limit("\"fast\"").is_err());
    }
}
