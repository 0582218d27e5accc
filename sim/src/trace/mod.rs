//! What a person sees of a run: everything that went between the hosts, what
//! befell it, and how each side stood, taken down while the run goes on. How a
//! page is made of it is in [`page`], a capture for other tools in [`pcap`].
//! Taking it down changes nothing in the run.

mod axis;
pub mod page;
pub mod pcap;
mod plot;
mod rows;
pub mod words;

pub use self::page::{Facts, html};

/// Something that went from one host to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it left.
    pub sent_us: u64,
    /// When it arrived; nothing if it never did.
    pub arrived_us: Option<u64>,
    /// The host that sent it.
    pub from: usize,
    /// The host that it was for; the same one for what a host did by itself.
    pub to: usize,
    /// What it was, as far as that is known.
    pub kind: String,
    /// Its length.
    pub bytes: usize,
    /// What befell it.
    pub fates: Vec<&'static str>,
    /// It does not come any more.
    pub lost: bool,
    /// It carries what was sent before.
    pub again: bool,
}

/// What sort of thing a mark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A side was told something.
    Event,
    /// Something went wrong, as the plan wanted it.
    Fault,
    /// An invariant did not hold.
    Broken,
}

/// A moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at_us: u64,
    /// At which host; nothing for all of them.
    pub host: Option<usize>,
    /// Of which sort.
    pub sort: Sort,
    /// What is to be read.
    pub text: String,
    /// How many messages had left before it.
    pub behind: usize,
}

/// From now on something of a host is in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Since when.
    pub at_us: u64,
    /// Whose.
    pub host: usize,
    /// What is in it: the connection, or a transfer.
    pub of: String,
    /// Its name.
    pub name: String,
}

/// Something that went wrong for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it begins.
    pub from_us: u64,
    /// When it ends.
    pub until_us: u64,
    /// At which host; nothing for all of them.
    pub host: Option<usize>,
    /// What is to be read.
    pub text: String,
}

/// Bytes of a host that its peer has not acknowledged, from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Since when.
    pub at_us: u64,
    /// Whose.
    pub host: usize,
    /// How many.
    pub bytes: u64,
}

/// A datagram as a host's network interface saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When.
    pub at_us: u64,
    /// Which host's.
    pub host: usize,
    /// Whether it left the host.
    pub outbound: bool,
    /// Where it came from.
    pub source: std::net::SocketAddr,
    /// Where it went.
    pub destination: std::net::SocketAddr,
    /// What was in it.
    pub contents: Vec<u8>,
    /// What befell it.
    pub fates: Vec<&'static str>,
}

/// All that was taken down of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// The names of the hosts, by their places.
    pub hosts: Vec<String>,
    /// What went between them, by when it left.
    pub messages: Vec<Message>,
    /// Moments, by when they were.
    pub marks: Vec<Mark>,
    /// States, by when they began.
    pub states: Vec<State>,
    /// Faults that last.
    pub spans: Vec<Span>,
    /// What was not acknowledged, where the world can see that; by when.
    pub flights: Vec<Flight>,
    /// What the hosts' interfaces saw, where there are any; by when.
    pub packets: Vec<Packet>,
}

impl Recording {
    /// Nothing yet, of these hosts.
    pub fn new(hosts: &[&str]) -> Self {
        Self { hosts: hosts.iter().map(|&name| name.to_owned()).collect(), ..Self::default() }
    }

    /// A message left a host. Its number.
    pub fn sent(&mut self, at_us: u64, from: usize, to: usize, kind: &str, bytes: usize) -> usize {
        self.messages.push(Message {
            sent_us: at_us,
            arrived_us: None,
            from,
            to,
            kind: kind.to_owned(),
            bytes,
            fates: Vec::new(),
            lost: false,
            again: false,
        });
        self.messages.len() - 1
    }

    /// A host did something by itself.
    pub fn did(&mut self, at_us: u64, host: usize, kind: &str, bytes: usize) {
        let number = self.sent(at_us, host, host, kind, bytes);
        self.messages[number].arrived_us = Some(at_us);
    }

    /// A moment is to be seen.
    pub fn mark(&mut self, at_us: u64, host: Option<usize>, sort: Sort, text: impl Into<String>) {
        let (text, behind) = (text.into(), self.messages.len());
        self.marks.push(Mark { at_us, host, sort, text, behind });
    }

    /// Something of a host is in another state now.
    pub fn state(&mut self, at_us: u64, host: usize, of: &str, name: &str) {
        let (of, name) = (of.to_owned(), name.to_owned());
        self.states.push(State { at_us, host, of, name });
    }
}
