//! Who asks, by network address, and how often they may (`RV-RATE`). Memory is
//! bounded whatever arrives: the client that was heard of longest ago is
//! forgotten first. No address leaves this module.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::config::{Config, Rate};

/// What counts as one client: an IPv4 address, or an IPv6 network of 64 bits,
/// since that is what one subscriber gets (`RV-RATE-PREFIX`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ClientKey {
    V4(u32),
    V6(u64),
}

impl ClientKey {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => ClientKey::V4(v4.to_bits()),
            IpAddr::V6(v6) => ClientKey::V6(u64::try_from(v6.to_bits() >> 64).unwrap_or_default()),
        }
    }
}

/// What a rate is applied to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    Create,
    Join,
    Meet,
    Connect,
    Message,
}

/// A token bucket, kept as the time at which it will be full again.
#[derive(Clone, Copy, Default)]
struct Bucket(Option<Instant>);

impl Bucket {
    /// Takes one, or says how long to wait.
    fn take(&mut self, now: Instant, rate: Rate) -> Result<(), Duration> {
        let interval = Duration::from_secs(60) / rate.per_minute.max(1);
        let full_at = self.0.map_or(now, |full_at| full_at.max(now));
        let ahead = full_at.saturating_duration_since(now);
        let allowed = interval * rate.burst.saturating_sub(1);
        if ahead > allowed {
            return Err(ahead.saturating_sub(allowed));
        }
        self.0 = Some(full_at + interval);
        Ok(())
    }

    fn is_full(self, now: Instant) -> bool {
        self.0.is_none_or(|full_at| full_at <= now)
    }
}

#[derive(Default)]
pub(super) struct Client {
    buckets: BTreeMap<Action, Bucket>,
    /// Place in `Clients::by_age`.
    heard: u64,
}

/// Rates and open sockets of all clients.
#[derive(Default)]
pub(super) struct Clients {
    pub(super) known: BTreeMap<ClientKey, Client>,
    by_age: BTreeMap<u64, ClientKey>,
    next_age: u64,
    /// Bounded by the server's limit of sockets.
    sockets: BTreeMap<ClientKey, usize>,
}

impl Clients {
    /// Counts one `action` of `key`, or says how long to wait.
    pub(super) fn take(
        &mut self,
        now: Instant,
        key: ClientKey,
        action: Action,
        config: &Config,
    ) -> Result<(), Duration> {
        let rate = match action {
            Action::Create => config.creates,
            Action::Join => config.joins,
            Action::Meet => config.meets,
            Action::Connect => config.connects,
            Action::Message => config.messages,
        };
        let client = self.known.entry(key).or_default();
        self.by_age.remove(&client.heard);
        self.next_age += 1;
        client.heard = self.next_age;
        self.by_age.insert(self.next_age, key);
        let result = client.buckets.entry(action).or_default().take(now, rate);
        // RV-RATE-MEMORY
        while self.known.len() > config.max_clients {
            self.forget_oldest();
        }
        result
    }

    /// Forgets clients whose buckets are full again (`RV-IP-FORGET`). Takes the
    /// oldest only, so one call costs no more than what it frees.
    pub(super) fn forget_idle(&mut self, now: Instant) {
        while let Some(key) = self.by_age.first_key_value().map(|(_, key)| *key) {
            let busy = |client: &Client| !client.buckets.values().all(|b| b.is_full(now));
            if self.known.get(&key).is_some_and(busy) {
                return;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.by_age.pop_first() {
            self.known.remove(&key);
        }
    }

    pub(super) fn sockets(&self, key: ClientKey) -> usize {
        self.sockets.get(&key).copied().unwrap_or(0)
    }

    pub(super) fn socket_opened(&mut self, key: ClientKey) {
        *self.sockets.entry(key).or_default() += 1;
    }

    pub(super) fn socket_gone(&mut self, key: ClientKey) {
        if let Some(count) = self.sockets.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sockets.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        super::super::tests::start()
    }

    fn v4(n: u32) -> ClientKey {
        ClientKey::of(IpAddr::V4(n.into()))
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        // RV-RATE
        let rate = Rate { burst: 3, per_minute: 6 };
        let (mut bucket, now) = (Bucket::default(), start());
        for _ in 0..3 {
            assert_eq!(bucket.take(now, rate), Ok(()));
        }
        assert_eq!(bucket.take(now, rate), Err(Duration::from_secs(10)));
        let later = now + Duration::from_secs(10);
        assert_eq!(bucket.take(later, rate), Ok(()));
        assert!(bucket.take(later, rate).is_err());
        let much_later = now + Duration::from_secs(600);
        assert_eq!((0..9).filter(|_| bucket.take(much_later, rate).is_ok()).count(), 3);
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        // RV-RATE-PREFIX
        let key = |text: &str| ClientKey::of(text.parse().unwrap());
        assert!(key("2001:db8::1") == key("2001:db8::ffff:1"));
        assert!(key("2001:db8::1") != key("2001:db8:0:1::1"));
        assert!(key("::ffff:192.0.2.1") == key("192.0.2.1"));
    }

    #[test]
    fn the_table_of_clients_is_bounded() {
        // RV-RATE-MEMORY
        let config = Config { max_clients: 16, ..Config::default() };
        let mut clients = Clients::default();
        for n in 0..1_000 {
            let _ = clients.take(start(), v4(n), Action::Join, &config);
            assert!(clients.known.len() <= 16 && clients.by_age.len() == clients.known.len());
        }
        assert!(clients.known.contains_key(&v4(999)) && !clients.known.contains_key(&v4(1)));
    }

    #[test]
    fn idle_clients_are_forgotten() {
        // RV-IP-FORGET
        let (mut clients, config) = (Clients::default(), Config::default());
        for n in 0..10 {
            clients.take(start(), v4(n), Action::Join, &config).unwrap();
        }
        clients.forget_idle(start() + Duration::from_secs(1));
        assert_eq!(clients.known.len(), 10);
        clients.forget_idle(start() + Duration::from_secs(60));
        assert_eq!(clients.known.len(), 0);
    }

    #[test]
    fn open_sockets_are_counted_for_each_client() {
        let mut clients = Clients::default();
        clients.socket_opened(v4(1));
        clients.socket_opened(v4(1));
        clients.socket_gone(v4(1));
        assert_eq!((clients.sockets(v4(1)), clients.sockets(v4(2))), (1, 0));
        clients.socket_gone(v4(1));
        assert!(clients.sockets.is_empty());
    }
}
