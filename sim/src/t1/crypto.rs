//! Cryptography of the transport that draws from the thread's seed: DTLS over
//! `dimpl` with portable ciphers, and fixed certificates. The ciphers of the
//! default keep a random generator of their own that nobody can seed. The keys
//! here are known to everybody and of no worth.

use std::sync::Arc;
use std::time::Instant;

use passel_sans_io::lane::{CryptoProvider, DtlsCert, DtlsVersion, PatientDtls};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};

use super::tap::{self, Tap};
use super::wrap::Sequence;
use crate::plan::Side;

/// The default's hashes and ours of DTLS.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { dtls_provider: &SeededDtls, ..str0m::crypto::from_feature_flags() })
}

/// The certificate of a side.
pub(crate) fn certificate(side: Side) -> DtlsCert {
    let (certificate, private_key): (&[u8], &[u8]) = match side {
        Side::Inviter => (
            include_bytes!("certificates/inviter.cert.der"),
            include_bytes!("certificates/inviter.key.der"),
        ),
        Side::Joiner => (
            include_bytes!("certificates/joiner.cert.der"),
            include_bytes!("certificates/joiner.key.der"),
        ),
    };
    DtlsCert { certificate: certificate.to_vec(), private_key: private_key.to_vec() }
}

/// Portable ciphers with that group alone which two sides that have all agree on. The
/// implementation tries every group and suite out whenever it is set up, which took most
/// of the time of a run.
fn portable_ciphers() -> dimpl::crypto::CryptoProvider {
    fn first<T>(all: &'static [T]) -> &'static [T] {
        all.get(..1).unwrap_or(all)
    }
    let mut provider = dimpl::crypto::rust_crypto::default_provider();
    provider.kx_groups = first(provider.kx_groups);
    provider.cipher_suites = first(provider.cipher_suites);
    provider
}

#[derive(Debug)]
struct SeededDtls;

impl DtlsProvider for SeededDtls {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        None
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let Some(seed) = passel_sim_entropy::bits() else {
            return Err(CryptoError::Other("this thread has no seed".to_owned()));
        };
        // Older versions put the wall clock into their randoms.
        if version == DtlsVersion::Dtls12 {
            return Err(CryptoError::Other("only DTLS 1.3 is repeatable".to_owned()));
        }
        let config = dimpl::Config::builder()
            .with_crypto_provider(portable_ciphers())
            .dangerously_set_rng_seed(seed);
        let dtls = PatientDtls::new(config, certificate, now, DtlsVersion::Dtls13, mtu)?;
        let side = Side::BOTH
            .into_iter()
            .find(|side| self::certificate(*side).certificate == certificate.certificate);
        let (tap, sequence) = (side.and_then(Tap::new), Sequence::default());
        Ok(Box::new(Instance { dtls, tap, sequence }))
    }
}

/// Hands everything on, past whoever listens.
struct Instance {
    dtls: PatientDtls,
    tap: Option<Tap>,
    sequence: Sequence,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.dtls.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.dtls.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let output = self.dtls.poll_output(buf);
        if let Some(tap) = &mut self.tap {
            match &output {
                DtlsOutput::Packet(packet) => tap.packet(packet),
                DtlsOutput::ApplicationData(data) => tap.received(data),
                _ => {}
            }
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.dtls.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        if let Some(tap) = &mut self.tap {
            tap.sent(data);
        }
        tap::sequences(data).for_each(|number| self.sequence.sent(number));
        self.dtls.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.dtls.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.dtls.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.dtls.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.dtls.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.dtls.close()
    }
}
