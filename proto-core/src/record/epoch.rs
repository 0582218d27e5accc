//! From one epoch's traffic secret to the next one's (`RL-UPDATE-SECRET`). Who
//! asks for an update, and when, is the connection's business.

use crate::crypto::Secret32;
use crate::crypto::items::Items;
use crate::crypto::schedule::{expand_label, extract};

/// The traffic secret of `epoch` out of the one before and the secret of a fresh
/// key encapsulation. `update` and `answer` are the bodies of the two frames that
/// carried it, as they were sent.
pub fn next_secret(
    before: &Secret32,
    epoch: u16,
    kem: &Secret32,
    update: &[u8],
    answer: &[u8],
) -> Secret32 {
    let hash = Items::new()
        .add("epoch", &epoch.to_le_bytes())
        .add("key update", update)
        .add("key update answer", answer)
        .hash();
    let derived = expand_label(before, "derived", &[]);
    let root = extract(derived.expose(), kem.expose());
    expand_label(&root, "epoch", &hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::kem::combine;

    // RL-UPDATE-SECRET, HS-KEM-BOTH
    #[test]
    fn altering_any_input_alone_changes_the_next_secret() {
        let kem = |m: u8, x: u8| combine(&[m; 32], &[x; 32], &[7; 32], &[8; 32]);
        let of = |before: u8, epoch, m, x, update: &[u8], answer: &[u8]| {
            let secret =
                next_secret(&Secret32::new([before; 32]), epoch, &kem(m, x), update, answer);
            *secret.expose()
        };
        let all = [
            of(1, 1, 2, 3, b"up", b"an"),
            of(9, 1, 2, 3, b"up", b"an"),
            of(1, 2, 2, 3, b"up", b"an"),
            of(1, 1, 9, 3, b"up", b"an"), // ML-KEM alone
            of(1, 1, 2, 9, b"up", b"an"), // X25519 alone
            of(1, 1, 2, 3, b"uq", b"an"),
            of(1, 1, 2, 3, b"up", b"am"),
            of(1, 1, 2, 3, b"upa", b"n"),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one), "{place}");
        }
    }
}
