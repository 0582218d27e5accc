//! The server's limits and their defaults (`RV-LIMITS`). How they are applied
//! does not live here.

use std::time::Duration;

use crate::messages::MAX_SIGNAL_BLOB;

/// How often a client may do something: a bucket of `burst` that fills again at
/// `per_minute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// How many in a minute, in the long run.
    pub per_minute: u32,
}

/// Limits of a [`super::Server`]. All of them are clamped by [`Config::clamped`],
/// which the server calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Life of a session from its creation; 10 to 30 minutes (`RV-LIFE`).
    pub life: Duration,
    /// Time that a session has at least after it was joined; 10 seconds to 10
    /// minutes (`RV-LIFE-JOINED`).
    pub joined_life: Duration,
    /// How long an ended session is remembered, so that a late joiner learns
    /// why; at most an hour (`RV-ENDED`).
    pub ended_memory: Duration,
    /// Time for a socket to say hello; 1 to 60 seconds (`RV-HELLO-TIME`).
    pub hello_timeout: Duration,
    /// Time to use a token of a join or a meeting; 1 to 60 seconds (`RV-JOIN-CLAIM`,
    /// `RV-MEETING-CLAIM`).
    pub claim_timeout: Duration,
    /// Live sessions at once, and ended sessions remembered.
    pub max_sessions: usize,
    /// Sockets at once.
    pub max_sockets: usize,
    /// Sockets at once of one client.
    pub max_sockets_per_client: usize,
    /// Clients whose rates are remembered at once.
    pub max_clients: usize,
    /// Longest blob in bytes; at most [`MAX_SIGNAL_BLOB`].
    pub max_blob: usize,
    /// Blobs that wait for one peer.
    pub queue_blobs: usize,
    /// Bytes that wait for one peer.
    pub queue_bytes: usize,
    /// Bytes that wait for all peers together.
    pub queue_bytes_total: usize,
    /// Bytes that a session carries in its life, both directions together.
    pub session_bytes: usize,
    /// Sessions that a client creates.
    pub creates: Rate,
    /// Attempts of a client to join; strict, so that nameplates cannot be
    /// scanned (`RV-RATE-JOIN`).
    pub joins: Rate,
    /// Meetings that a client asks for.
    pub meets: Rate,
    /// Sockets that a client opens.
    pub connects: Rate,
    /// Messages that a client sends over all its sockets.
    pub messages: Rate,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            life: Duration::from_secs(20 * 60),
            joined_life: Duration::from_secs(2 * 60),
            ended_memory: Duration::from_secs(10 * 60),
            hello_timeout: Duration::from_secs(10),
            claim_timeout: Duration::from_secs(15),
            max_sessions: 10_000,
            max_sockets: 4_096,
            max_sockets_per_client: 64,
            max_clients: 16_384,
            max_blob: MAX_SIGNAL_BLOB,
            queue_blobs: 32,
            queue_bytes: 128 * 1024,
            queue_bytes_total: 64 * 1024 * 1024,
            session_bytes: 1024 * 1024,
            creates: Rate { burst: 20, per_minute: 20 },
            joins: Rate { burst: 5, per_minute: 10 },
            meets: Rate { burst: 40, per_minute: 60 },
            connects: Rate { burst: 40, per_minute: 60 },
            messages: Rate { burst: 256, per_minute: 1_200 },
        }
    }
}

impl Rate {
    fn clamped(self) -> Self {
        Self { burst: self.burst.clamp(1, 100_000), per_minute: self.per_minute.clamp(1, 100_000) }
    }
}

impl Config {
    /// The nearest configuration in which every value lies in its range.
    #[must_use]
    pub fn clamped(self) -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            life: self.life.clamp(minutes(10), minutes(30)),
            joined_life: self.joined_life.clamp(Duration::from_secs(10), minutes(10)),
            ended_memory: self.ended_memory.min(minutes(60)),
            hello_timeout: self.hello_timeout.clamp(Duration::from_secs(1), minutes(1)),
            claim_timeout: self.claim_timeout.clamp(Duration::from_secs(1), minutes(1)),
            max_sessions: self.max_sessions.clamp(1, 1_000_000),
            max_sockets: self.max_sockets.clamp(2, 1_000_000),
            max_sockets_per_client: self.max_sockets_per_client.max(1),
            max_clients: self.max_clients.clamp(16, 1_000_000),
            max_blob: self.max_blob.clamp(1, MAX_SIGNAL_BLOB),
            queue_blobs: self.queue_blobs.clamp(1, 1_024),
            queue_bytes: self.queue_bytes.max(MAX_SIGNAL_BLOB),
            queue_bytes_total: self.queue_bytes_total.max(MAX_SIGNAL_BLOB),
            session_bytes: self.session_bytes.max(MAX_SIGNAL_BLOB),
            creates: self.creates.clamped(),
            joins: self.joins.clamped(),
            meets: self.meets.clamped(),
            connects: self.connects.clamped(),
            messages: self.messages.clamped(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_session_is_clamped() {
        // RV-LIFE
        let of = |secs| {
            Config { life: Duration::from_secs(secs), ..Config::default() }.clamped().life.as_secs()
        };
        assert_eq!((of(0), of(900), of(1_000_000)), (600, 900, 1_800));
    }

    #[test]
    fn the_defaults_are_within_their_ranges() {
        assert_eq!(Config::default().clamped(), Config::default());
    }

    #[test]
    fn the_defaults_are_the_specs() {
        // RV-LIMITS
        let spec = include_str!("../../../spec/09-rendezvous.md");
        let defaults = Config::default();
        let rate = |rate: Rate| format!("{} at once, {} a minute", rate.burst, rate.per_minute);
        for (name, value) in [
            ("life of a session", format!("{} min", defaults.life.as_secs() / 60)),
            ("life after a join, at least", format!("{} min", defaults.joined_life.as_secs() / 60)),
            ("memory of an ended session", format!("{} min", defaults.ended_memory.as_secs() / 60)),
            ("time for the hello", format!("{} s", defaults.hello_timeout.as_secs())),
            (
                "time to use a token of a join or a meeting",
                format!("{} s", defaults.claim_timeout.as_secs()),
            ),
            ("live sessions", defaults.max_sessions.to_string()),
            ("sockets", defaults.max_sockets.to_string()),
            ("sockets of one client", defaults.max_sockets_per_client.to_string()),
            ("clients remembered", defaults.max_clients.to_string()),
            ("blob", format!("{} bytes", defaults.max_blob)),
            ("blobs waiting for one peer", defaults.queue_blobs.to_string()),
            ("bytes waiting for one peer", defaults.queue_bytes.to_string()),
            ("bytes waiting for all peers", defaults.queue_bytes_total.to_string()),
            ("bytes that a session carries", defaults.session_bytes.to_string()),
            ("sessions created by one client", rate(defaults.creates)),
            ("joins tried by one client", rate(defaults.joins)),
            ("meetings asked for by one client", rate(defaults.meets)),
            ("sockets opened by one client", rate(defaults.connects)),
            ("messages of one client", rate(defaults.messages)),
        ] {
            let row = format!("| {name} | {value} |");
            assert!(spec.contains(&row), "the spec lacks the row {row}");
        }
    }
}
