//! How many connections each client has open, so that no client takes the room of all
//! (`RV-CONNECTIONS`). A client is known here as long as it has one (`RV-IP-FORGET`).
//! What does not live here: sockets, of which the server keeps count.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ShellConfig;
use crate::server::ClientKey;

/// The open connections of all clients, by number.
pub(super) struct Crowd {
    open: Mutex<BTreeMap<ClientKey, usize>>,
    most: usize,
    trusted_proxies: Vec<IpAddr>,
}

/// Room for one connection, until it is dropped.
pub(super) struct Room {
    crowd: Arc<Crowd>,
    /// None for a proxy, whose connections are not counted.
    client: Option<ClientKey>,
}

impl Crowd {
    pub(super) fn new(config: &ShellConfig) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            most: config.max_connections_per_client.max(1),
            trusted_proxies: config.trusted_proxies.clone(),
        })
    }

    /// Room for one more connection of the client at `ip`, if there is any.
    pub(super) fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Room> {
        let ip = ip.to_canonical();
        let client = (!self.trusted_proxies.contains(&ip)).then(|| ClientKey::of(ip));
        if let Some(client) = client {
            let mut open = self.open();
            let count = open.entry(client).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(Room { crowd: Arc::clone(self), client })
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<ClientKey, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut open = self.crowd.open();
        if let Some(count) = open.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(most: usize, trusted: &[&str]) -> Arc<Crowd> {
        Crowd::new(&ShellConfig {
            max_connections_per_client: most,
            trusted_proxies: trusted.iter().map(|ip| ip.parse().unwrap()).collect(),
            ..ShellConfig::default()
        })
    }

    fn enter(crowd: &Arc<Crowd>, ip: &str) -> Option<Room> {
        crowd.enter(ip.parse().unwrap())
    }

    #[test]
    fn each_client_has_room_of_its_own_and_gets_it_back() {
        // RV-CONNECTIONS, RV-RATE-PREFIX, RV-IP-FORGET
        let crowd = crowd(2, &[]);
        let first = enter(&crowd, "2001:db8::1").unwrap();
        let second = enter(&crowd, "2001:db8::2").unwrap();
        assert!(enter(&crowd, "2001:db8::3").is_none(), "one network is one client");
        let other = enter(&crowd, "192.0.2.1").unwrap();
        drop(first);
        let third = enter(&crowd, "2001:db8::3").unwrap();
        assert!(enter(&crowd, "2001:db8::1").is_none());
        drop((second, third, other));
        assert!(crowd.open().is_empty());
    }

    #[test]
    fn a_trusted_proxy_has_as_much_room_as_it_likes() {
        // RV-CONNECTIONS
        let crowd = crowd(1, &["127.0.0.1"]);
        let ips = ["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1"];
        let rooms: Vec<Room> = ips.iter().map(|ip| enter(&crowd, ip).unwrap()).collect();
        let stranger = enter(&crowd, "127.0.0.2").unwrap();
        assert!(enter(&crowd, "127.0.0.2").is_none());
        drop((rooms, stranger));
        assert!(crowd.open().is_empty());
    }
}
