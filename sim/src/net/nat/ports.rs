//! Which outside port an inside end gets. What does not live here: which ports
//! are taken.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::rng::Draw;

/// The lowest port that is given out.
pub const FIRST_PORT: u16 = 1024;
const PORTS: u32 = 65_536 - FIRST_PORT as u32;

/// Which free port is chosen. If the one aimed at is taken, it is the next above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortChoice {
    /// The inside port.
    #[default]
    Preserving,
    /// One after the other, from a random one on.
    Sequential,
    /// Any.
    Random,
    /// As far from the other ports of the same inside address as the inside ports
    /// are from each other.
    Contiguous,
}

#[derive(Clone, Debug)]
pub(super) struct Ports {
    choice: PortChoice,
    draw: Draw,
    next: u32,
    /// Not to be given out again, after a rebinding.
    retired: BTreeSet<u16>,
}

impl Ports {
    pub(super) fn new(choice: PortChoice, mut draw: Draw) -> Self {
        let next = any(&mut draw);
        Self { choice, draw, next, retired: BTreeSet::new() }
    }

    /// Keeps these ports, and no others, from being given out.
    pub(super) fn retire(&mut self, ports: impl Iterator<Item = u16>) {
        self.retired = ports.collect();
    }

    /// A port for the inside port `inside`. `neighbour` is the inside and outside
    /// port of the same host's, if it has any.
    pub(super) fn choose(
        &mut self,
        inside: u16,
        neighbour: Option<(u16, u16)>,
        taken: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        // Places are counted from the first port on.
        let place = |port: u16| u32::from(port.max(FIRST_PORT) - FIRST_PORT);
        let aim = match (self.choice, neighbour) {
            (PortChoice::Preserving, _) => place(inside),
            (PortChoice::Sequential, _) => self.next,
            (PortChoice::Contiguous, Some((near, outside))) => {
                place(outside) + 2 * PORTS + u32::from(inside) - u32::from(near)
            }
            (PortChoice::Random | PortChoice::Contiguous, _) => any(&mut self.draw),
        };
        let ports = (aim..aim + PORTS)
            .map(|place| u16::try_from(place % PORTS).unwrap_or(0).saturating_add(FIRST_PORT));
        let mut free = ports.filter(|port| !taken(*port) && !self.retired.contains(port));
        let port = free.next()?;
        self.next = place(port) + 1;
        Some(port)
    }
}

fn any(draw: &mut Draw) -> u32 {
    u32::try_from(draw.below(PORTS.into())).unwrap_or(0)
}
