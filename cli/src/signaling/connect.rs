//! Reaching the server: name, TCP, TLS. The same for requests and sockets, so
//! that both have the same bounds and the same errors. The connections of TCP are
//! the machine's.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use url::{Host, Url};

use super::error::{SignalError, shown};
use crate::machine::Machine;

/// Head start of one address over the next.
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses tried at most.
const MAX_ADDRESSES: usize = 8;

/// A connection to a server, with or without TLS.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Where a server is, taken from its URL.
pub(super) struct Place {
    /// For the `Host` header: with port unless it is the scheme's own.
    pub(super) authority: String,
    /// The URL's path without a slash at its end.
    pub(super) base: String,
    host: Host<String>,
    port: u16,
    tls: bool,
}

impl Place {
    pub(super) fn of(server: &Url) -> Result<Self, SignalError> {
        let tls = match server.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(SignalError::BadUrl),
        };
        let extra = !server.username().is_empty()
            || server.password().is_some()
            || server.query().is_some()
            || server.fragment().is_some();
        let (Some(host), Some(port), false) =
            (server.host(), server.port_or_known_default(), extra)
        else {
            return Err(SignalError::BadUrl);
        };
        let authority = match server.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let base = server.path().trim_end_matches('/').to_owned();
        Ok(Self { authority, base, host: host.to_owned(), port, tls })
    }
}

/// Connects to `server` within [`super::CONNECT_TIMEOUT`].
pub(super) async fn connect<M: Machine>(
    machine: &M,
    server: &Url,
    place: &Place,
) -> Result<Box<dyn Io>, SignalError> {
    let unreachable = || SignalError::Unreachable { url: shown(server) };
    let attempt = async {
        let tcp = connect_tcp(machine, place).await.ok_or_else(unreachable)?;
        if !place.tls {
            return Ok(Box::new(tcp) as Box<dyn Io>);
        }
        // RV-CLIENT-TLS
        let untrusted = || SignalError::Untrusted { url: shown(server) };
        let name = match &place.host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| untrusted())?,
            Host::Ipv4(ip) => ServerName::from(IpAddr::from(*ip)),
            Host::Ipv6(ip) => ServerName::from(IpAddr::from(*ip)),
        };
        let connector = TlsConnector::from(tls_config().ok_or_else(untrusted)?);
        // What rustls refuses is invalid data to it; all else is the network's doing.
        let stream = connector.connect(name, tcp).await.map_err(|error| match error.kind() {
            ErrorKind::InvalidData => untrusted(),
            _ => unreachable(),
        })?;
        Ok(Box::new(stream) as Box<dyn Io>)
    };
    tokio::time::timeout(super::CONNECT_TIMEOUT, attempt).await.map_err(|_| unreachable())?
}

/// The first of the host's addresses that answers. Each has a short head start
/// over the next, so that a dead address family costs little.
async fn connect_tcp<M: Machine>(machine: &M, place: &Place) -> Option<M::Tcp> {
    let addresses: Vec<SocketAddr> = match &place.host {
        Host::Domain(name) => machine.resolve(name, place.port).await.ok()?,
        Host::Ipv4(ip) => vec![(*ip, place.port).into()],
        Host::Ipv6(ip) => vec![(*ip, place.port).into()],
    };
    let mut attempts = JoinSet::new();
    let mut delay = Duration::ZERO;
    for address in alternate(&addresses).into_iter().take(MAX_ADDRESSES) {
        let wait = delay;
        delay += STAGGER;
        let machine = machine.clone();
        attempts.spawn(async move {
            tokio::time::sleep(wait).await;
            machine.connect(address).await
        });
    }
    while let Some(attempt) = attempts.join_next().await {
        if let Ok(Ok(stream)) = attempt {
            return Some(stream);
        }
    }
    None
}

/// The addresses with the two families in turn, otherwise in their order.
fn alternate(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut mixed = Vec::with_capacity(addresses.len());
    for address in first {
        mixed.push(address);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed
}

/// One configuration for all connections. The provider is named here, since a
/// process that links two of them has no default.
fn tls_config() -> Option<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            let provider = Arc::new(crypto::aws_lc_rs::default_provider());
            let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<RootCertStore>();
            let builder = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .ok()?;
            let mut config = builder.with_root_certificates(roots).with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Some(Arc::new(config))
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_server_can_have_are_refused() {
        for bad in ["ftp://a.example", "http://u@a.example", "https://a.example/?q", "http://a/#s"]
        {
            let place = Place::of(&bad.parse().unwrap());
            assert!(matches!(place, Err(SignalError::BadUrl)), "{bad}");
        }
        let place = Place::of(&"http://a.example:81/below/".parse().unwrap()).unwrap();
        assert_eq!((place.authority.as_str(), place.base.as_str()), ("a.example:81", "/below"));
    }

    #[test]
    fn the_families_take_turns() {
        let [a, b, c, d] =
            ["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1"].map(|a| a.parse().unwrap());
        assert_eq!(alternate(&[a, b, c, d]), [a, c, b, d]);
        assert_eq!(alternate(&[]), []);
    }

    #[test]
    fn tls_has_a_provider_of_its_own() {
        // RV-CLIENT-TLS
        assert!(tls_config().is_some());
    }
}
