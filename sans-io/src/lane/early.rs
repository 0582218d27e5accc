//! DTLS that comes from addresses which no check has proved yet (`TB-DTLS-EARLY`): the
//! initiator's first flight may be ahead of the answer to the responder's check, by much
//! where checks or answers are lost. What is kept of it lives here; when an address is
//! proved, and what is taken in, is the lane's to know.

use std::ops::Range;

use crate::datagram::{Datagram, DatagramRef};

/// Most paths of which something is kept: the initiator may change to a better one.
const MAX_PATHS: usize = 4;
/// Where a record in the clear says how many went before it (RFC 9147, 4): all by which
/// a flight that is sent again differs from what it was.
const SEQUENCE: Range<usize> = 5..11;

/// What is kept, at most one datagram of a path.
#[derive(Debug, Default)]
pub(super) struct EarlyDtls(Vec<Early>);

/// What came on one path.
#[derive(Debug)]
struct Early {
    /// The initiator's first flight, if it is genuine.
    first: Datagram,
    /// Whether another one came, so that it cannot be told which of them is genuine;
    /// the initiator repeats it.
    is_doubtful: bool,
}

impl EarlyDtls {
    /// Keeps a datagram if it is the first of its path. How many are given up.
    pub(super) fn keep(&mut self, datagram: DatagramRef<'_>) -> u64 {
        let path = (datagram.source, datagram.destination);
        let is_on_path = |early: &&mut Early| (early.first.source, early.first.destination) == path;
        let Some(early) = self.0.iter_mut().find(is_on_path) else {
            if self.0.len() >= MAX_PATHS {
                return 1;
            }
            self.0.push(Early { first: datagram.to_owned(), is_doubtful: false });
            return 0;
        };
        if early.is_doubtful || is_again(&early.first.contents, datagram.contents) {
            return 1;
        }
        early.is_doubtful = true;
        2
    }

    /// The datagram that is of use now, if there is one.
    pub(super) fn take(&mut self, is_of_use: impl Fn(DatagramRef<'_>) -> bool) -> Option<Datagram> {
        let of_use = |early: &Early| !early.is_doubtful && is_of_use(early.first.as_ref());
        let place = self.0.iter().position(of_use)?;
        Some(self.0.swap_remove(place).first)
    }

    /// Keeps nothing any more. How many are given up.
    pub(super) fn give_up(&mut self) -> u64 {
        std::mem::take(&mut self.0).iter().map(|early| u64::from(!early.is_doubtful)).sum()
    }
}

/// Whether a datagram is an earlier one that is sent again.
fn is_again(first: &[u8], next: &[u8]) -> bool {
    first == next || said(first).is_some_and(|first| said(next) == Some(first))
}

/// A record without its number, if it is long enough to have one.
fn said(contents: &[u8]) -> Option<(&[u8], &[u8])> {
    Some((contents.get(..SEQUENCE.start)?, contents.get(SEQUENCE.end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of a handshake, the so many-th, of this content, from this port.
    fn record(sequence: u8, content: u8, port: u16) -> Datagram {
        let contents = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, sequence, 0, 2, content, content];
        let [source, destination] = [port, 1].map(|port| ([192, 0, 2, 1], port).into());
        Datagram { source, destination, contents }
    }

    #[test]
    fn what_is_sent_again_is_known_and_the_first_is_kept() {
        let mut early = EarlyDtls::default();
        let refused: Vec<_> =
            (0..4).map(|sequence| early.keep(record(sequence, 7, 9).as_ref())).collect();
        assert_eq!(refused, [0, 1, 1, 1]);
        assert_eq!(early.take(|_| false), None);
        assert_eq!(early.take(|_| true), Some(record(0, 7, 9)));
        assert_eq!(early.take(|_| true), None);
    }

    #[test]
    fn of_different_ones_on_a_path_none_is_taken() {
        let short = |contents: &[u8]| Datagram { contents: contents.to_vec(), ..record(0, 7, 9) };
        for (first, next) in [
            (record(0, 7, 9), record(1, 8, 9)),
            (short(&[22]), short(&[23])),
            (short(&[22, 1]), short(&[22])),
            (short(&[22, 0, 0, 0, 0, 1]), short(&[22, 0, 0, 0, 0, 2])),
            (short(&[22; 11]), short(&[22; 12])),
        ] {
            let mut early = EarlyDtls::default();
            assert_eq!((early.keep(first.as_ref()), early.keep(next.as_ref())), (0, 2));
            assert_eq!(early.keep(first.as_ref()), 1);
            assert_eq!(early.take(|_| true), None, "{first:?}, {next:?}");
            assert_eq!(early.give_up(), 0);
        }
    }

    #[test]
    fn each_of_a_few_paths_has_its_own() {
        let mut early = EarlyDtls::default();
        let refused: Vec<_> = (0..6).map(|port| early.keep(record(0, 7, port).as_ref())).collect();
        assert_eq!(refused, [0, 0, 0, 0, 1, 1]);
        assert_eq!(early.keep(record(0, 8, 1).as_ref()), 2);
        let of_port = |port| move |datagram: DatagramRef<'_>| datagram.source.port() == port;
        assert_eq!(early.take(of_port(1)), None);
        assert_eq!(early.take(of_port(2)), Some(record(0, 7, 2)));
        assert_eq!(early.give_up(), 2);
        assert_eq!(early.take(|_| true), None);
    }
}
