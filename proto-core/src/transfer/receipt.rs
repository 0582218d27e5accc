//! The MAC of a RECEIPT: the receiver's word, under a key that only the two ends
//! of this session hold (`TR-RECEIPT-MAC`).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::codec;
use crate::error::{Error, ErrorCode};
use crate::frame::Receipt;
use crate::ids::Role;

/// Fills in the MAC of a receipt that `issuer` gives.
pub(crate) fn sign(key: &[u8; 32], issuer: Role, receipt: &mut Receipt) -> Result<(), Error> {
    let mac = compute(key, issuer, receipt)?;
    receipt.mac = mac.finalize().into_bytes().into();
    Ok(())
}

/// Checks the MAC of a receipt that `issuer` gave.
pub(crate) fn verify(key: &[u8; 32], issuer: Role, receipt: &Receipt) -> Result<(), Error> {
    compute(key, issuer, receipt)?
        .verify_slice(&receipt.mac)
        .map_err(|_| Error::peer(ErrorCode::ProtocolViolation, "the receipt's signature is wrong"))
}

fn compute(key: &[u8; 32], issuer: Role, receipt: &Receipt) -> Result<Hmac<Sha256>, Error> {
    let internal = || Error::local(ErrorCode::Internal, "the receipt cannot be encoded");
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| internal())?;
    mac.update(b"passel v1 receipt");
    mac.update(&[match issuer {
        Role::Initiator => 0,
        Role::Responder => 1,
    }]);
    let unsigned = Receipt { mac: [0; 32], ..receipt.clone() };
    let body = codec::encode(&unsigned).map_err(|_| internal())?;
    // The MAC is the body's last field.
    mac.update(body.get(..body.len() - 32).unwrap_or_default());
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TransferId;

    #[test]
    fn altering_anything_breaks_the_signature() {
        let key = [1; 32];
        let mut receipt = Receipt {
            transfer: TransferId(2),
            delivered: 3,
            failed: 0,
            listed: Vec::new(),
            statements: [9; 32],
            mac: [0; 32],
        };
        sign(&key, Role::Initiator, &mut receipt).unwrap();
        assert_eq!(verify(&key, Role::Initiator, &receipt), Ok(()));
        assert!(verify(&[2; 32], Role::Initiator, &receipt).is_err());
        assert!(verify(&key, Role::Responder, &receipt).is_err(), "reflected");
        for altered in [
            Receipt { transfer: TransferId(4), ..receipt.clone() },
            Receipt { delivered: 4, ..receipt.clone() },
            Receipt { failed: 1, ..receipt.clone() },
            Receipt { statements: [8; 32], ..receipt.clone() },
            Receipt { mac: [0; 32], ..receipt.clone() },
        ] {
            assert!(verify(&key, Role::Initiator, &altered).is_err());
        }
    }
}
