//! Bugs of the world of T2, which a swarm must find. They lie in the machines
//! around the programs: in what carries their datagrams and answers, in their
//! disks, their output and their entropy, never in the programs.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::plan::{RECEIVER, RENDEZVOUS, SENDER};
use super::stage::address;
use super::witness::{IN_CONTENT, list};

/// A bug put into the world on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planted {
    /// A crash of the receiver tears the files that have their names already.
    NameTorn,
    /// A crash of the receiver loses all that has no name yet, however often the
    /// program had it made durable.
    SyncForgotten,
    /// Machines carry so many datagrams and no more.
    DatagramsStop,
    /// A datagram tells what is in a file.
    DatagramReadable,
    /// What the rendezvous answers tells an address of the sender.
    AddressReadable,
    /// What the rendezvous answers has a bit altered.
    AnswerAltered,
    /// The line in which a program says that it failed is lost.
    LineLost,
    /// The entropy of a machine comes from a counter that all runs of the process
    /// share.
    EntropyShared,
}

impl Planted {
    /// All of them.
    pub const ALL: &'static [Planted] = &[
        Planted::NameTorn,
        Planted::SyncForgotten,
        Planted::DatagramsStop,
        Planted::DatagramReadable,
        Planted::AddressReadable,
        Planted::AnswerAltered,
        Planted::LineLost,
        Planted::EntropyShared,
    ];
}

/// Datagrams that all machines carry before they stop.
const CARRIED: u64 = 60;
/// The datagram that is readable.
const NTH: u64 = 30;
/// Answers of the rendezvous from this length on are altered.
const LONG: usize = 200;
/// The counter of all runs.
static SHARED: AtomicU64 = AtomicU64::new(1);

/// What a bug does to the machines of a run.
#[derive(Debug, Default)]
pub(super) struct Spoiler {
    planted: Option<Planted>,
    datagrams: AtomicU64,
}

impl Spoiler {
    pub(super) fn new(planted: Option<Planted>) -> Self {
        Self { planted, datagrams: AtomicU64::new(0) }
    }

    /// What becomes of a datagram; nothing if it is lost.
    pub(super) fn datagram<'d>(&self, contents: &'d [u8]) -> Option<Cow<'d, [u8]>> {
        let before = self.datagrams.fetch_add(1, Ordering::Relaxed);
        match self.planted {
            Some(Planted::DatagramsStop) if before >= CARRIED => None,
            Some(Planted::DatagramReadable) if before == NTH => {
                Some([contents, IN_CONTENT].concat().into())
            }
            _ => Some(contents.into()),
        }
    }

    /// What becomes of bytes that the host at `place` sends over TCP.
    pub(super) fn stream<'b>(&self, place: usize, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let is_answer = place == RENDEZVOUS && bytes.len() >= LONG;
        match self.planted.filter(|_| is_answer) {
            Some(Planted::AnswerAltered) => {
                let mut bytes = bytes.to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
                bytes.into()
            }
            Some(Planted::AddressReadable) => {
                let told = [false, true].map(|v6| address(SENDER, v6).to_string()).join(" ");
                let rest = bytes.get(told.len()..).unwrap_or_default();
                [told.as_bytes(), rest].concat().into()
            }
            _ => bytes.into(),
        }
    }

    /// Whether a line that a program prints comes out.
    pub(super) fn comes_out(&self, line: &str) -> bool {
        self.planted != Some(Planted::LineLost) || !line.contains("\"event\":\"failed\"")
    }

    pub(super) fn entropy(&self, seed: &mut [u8; 32]) {
        if self.planted == Some(Planted::EntropyShared) {
            seed[0] ^= SHARED.fetch_add(1, Ordering::Relaxed).to_le_bytes()[0];
        }
    }

    /// The host at `place` starts again after a crash; its files are in `out`.
    pub(super) fn restart(&self, place: usize, out: &Path) -> io::Result<()> {
        if place != RECEIVER {
            return Ok(());
        }
        for name in list(out) {
            let (path, has_name) = (out.join(&name), !name.starts_with('.'));
            match self.planted {
                Some(Planted::NameTorn) if has_name => {
                    let file = fs::OpenOptions::new().write(true).open(path)?;
                    file.set_len(file.metadata()?.len() / 2)?;
                }
                Some(Planted::SyncForgotten) if !has_name => fs::remove_dir_all(path)?,
                _ => {}
            }
        }
        Ok(())
    }
}
