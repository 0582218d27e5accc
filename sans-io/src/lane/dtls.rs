//! DTLS of a lane: the stack's own implementation, told that time is what bounds a
//! handshake, and not how often a flight was sent. It takes each copy that a network
//! makes of the other side's flight for a reason to send its own again, and falls
//! silent after four (`TB-DTLS-PATIENT`). Versions and keys are the stack's.

use std::sync::Arc;
use std::time::Instant;

use dimpl::{Config, ConfigBuilder};
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};

/// How often a flight may be sent again: more often than in the time that a handshake
/// has, also with copies, and a bound for what copies can cause.
const FLIGHT_RETRIES: usize = 64;

/// The stack's cryptography with this DTLS.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { dtls_provider: &Patient, ..str0m::crypto::from_feature_flags() })
}

#[derive(Debug)]
struct Patient;

impl DtlsProvider for Patient {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let instance = PatientDtls::new(Config::builder(), certificate, now, version, mtu)?;
        Ok(Box::new(instance))
    }
}

/// One side of DTLS as lanes use it: for who hands lanes a [`CryptoProvider`] of their
/// own, as a simulation does that has to draw keys from a seed (`TB-DTLS-PATIENT`).
///
/// ```
/// use passel_sans_io::lane::{DtlsCert, DtlsVersion, PatientDtls};
/// use str0m::crypto::dtls::DtlsInstance;
///
/// # fn with(certificate: &DtlsCert, now: std::time::Instant) -> Option<()> {
/// let config = dimpl::Config::builder();
/// let mut dtls =
///     PatientDtls::new(config, certificate, now, DtlsVersion::Dtls13, Some(1_200)).ok()?;
/// dtls.set_active(true);
/// # Some(()) }
/// ```
pub struct PatientDtls(dimpl::Dtls);

impl PatientDtls {
    /// One that begins at `now` with `config`, of which what lanes depend on is set here.
    /// `mtu` is the most bytes of UDP payload; without it, `config` decides.
    ///
    /// # Errors
    ///
    /// If `config` or the version is not one that the implementation takes.
    pub fn new(
        config: ConfigBuilder,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Self, CryptoError> {
        // ICE has shown that the peer is reachable, so that no cookie has to.
        let mut config = config.use_server_cookie(false).flight_retries(FLIGHT_RETRIES);
        if let Some(mtu) = mtu {
            config = config.mtu(mtu);
        }
        let config = config.build().map_err(|error| CryptoError::Other(error.to_string()))?;
        let (config, certificate) = (Arc::new(config), certificate.clone());
        let dtls = match version {
            DtlsVersion::Dtls12 => dimpl::Dtls::new_12(config, certificate, now),
            DtlsVersion::Dtls13 => dimpl::Dtls::new_13(config, certificate, now),
            DtlsVersion::Auto => dimpl::Dtls::new_auto(config, certificate, now),
            other => return Err(CryptoError::Other(format!("no DTLS of version {other}"))),
        };
        Ok(Self(dtls))
    }
}

impl std::fmt::Debug for PatientDtls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PatientDtls").finish_non_exhaustive()
    }
}

impl DtlsInstance for PatientDtls {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buf)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}
