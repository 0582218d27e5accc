//! What a translator remembers: which inside end has which outside end, and to
//! whom it was used. What does not live here: who is let through, and for how
//! long things are remembered.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::Scope;

/// An inside end, and the remote ends that it has one outside end for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) inside: SocketAddr,
    pub(super) scope: Scope,
}

#[derive(Clone, Debug)]
struct Mapping {
    outside: SocketAddr,
    /// When each was last refreshed.
    sessions: BTreeMap<Scope, u64>,
}

/// Every mapping has a session, and every outside end one mapping.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    mappings: BTreeMap<Key, Mapping>,
    outside: BTreeMap<SocketAddr, Key>,
    sessions: usize,
}

impl Table {
    pub(super) fn sessions(&self) -> usize {
        self.sessions
    }

    pub(super) fn outside(&self, key: &Key) -> Option<SocketAddr> {
        self.mappings.get(key).map(|mapping| mapping.outside)
    }

    /// Whose outside end this is.
    pub(super) fn at(&self, outside: SocketAddr) -> Option<Key> {
        self.outside.get(&outside).copied()
    }

    pub(super) fn outside_ports(&self) -> impl Iterator<Item = u16> {
        self.outside.keys().map(SocketAddr::port)
    }

    /// Inside and outside port of a mapping of this inside address.
    pub(super) fn neighbour(&self, inside: IpAddr) -> Option<(u16, u16)> {
        let mut mappings = self.mappings.iter();
        let (key, mapping) = mappings.find(|(key, _)| key.inside.ip() == inside)?;
        Some((key.inside.port(), mapping.outside.port()))
    }

    pub(super) fn has_session(&self, key: &Key, scope: Scope) -> bool {
        self.mappings.get(key).is_some_and(|mapping| mapping.sessions.contains_key(&scope))
    }

    /// Maps `key` to `outside` unless it has an outside end. A session must follow.
    pub(super) fn map(&mut self, key: &Key, outside: SocketAddr) {
        let sessions = BTreeMap::new();
        self.mappings.entry(*key).or_insert(Mapping { outside, sessions });
        self.outside.entry(outside).or_insert(*key);
    }

    pub(super) fn refresh(&mut self, key: &Key, scope: Scope, now: u64) {
        if let Some(mapping) = self.mappings.get_mut(key) {
            self.sessions += usize::from(mapping.sessions.insert(scope, now).is_none());
        }
    }

    /// Forgets what was last refreshed before `oldest`.
    pub(super) fn expire(&mut self, oldest: u64) {
        let Self { mappings, outside, sessions } = self;
        mappings.retain(|_, mapping| {
            let before = mapping.sessions.len();
            mapping.sessions.retain(|_, refreshed| *refreshed >= oldest);
            *sessions -= before - mapping.sessions.len();
            let kept = !mapping.sessions.is_empty();
            if !kept {
                outside.remove(&mapping.outside);
            }
            kept
        });
    }
}
