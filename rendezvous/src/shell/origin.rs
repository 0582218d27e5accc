//! Whose request it is: the address that rates are applied to. Headers count
//! only if they come from a proxy that the operator named.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;

/// The client's address. Walks `X-Forwarded-For` from the right, past proxies
/// that are trusted: what stands further left anybody can have made up.
pub(super) fn client_ip(parts: &Parts, trusted: &[IpAddr]) -> IpAddr {
    let direct = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let mut ip = direct.map_or(Ipv6Addr::UNSPECIFIED.into(), |info| info.0.ip().to_canonical());
    let headers = parts.headers.get_all("x-forwarded-for");
    let hops: Vec<&str> =
        headers.iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).collect();
    for hop in hops.iter().rev() {
        if !trusted.contains(&ip) {
            break;
        }
        let Ok(next) = hop.trim().parse::<IpAddr>() else { break };
        ip = next.to_canonical();
    }
    ip
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip_of(direct: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut request = axum::http::Request::builder();
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let direct: IpAddr = direct.parse().unwrap();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(direct, 9)));
        let trusted: Vec<IpAddr> = trusted.iter().map(|ip| ip.parse().unwrap()).collect();
        client_ip(&parts, &trusted).to_string()
    }

    #[test]
    fn a_header_from_a_stranger_is_ignored() {
        // RV-RATE
        assert_eq!(ip_of("192.0.2.1", &["198.51.100.7"], &[]), "192.0.2.1");
        assert_eq!(ip_of("192.0.2.1", &["198.51.100.7"], &["192.0.2.2"]), "192.0.2.1");
    }

    #[test]
    fn a_proxys_header_is_believed_up_to_the_first_stranger() {
        // RV-RATE
        let trusted = ["127.0.0.1", "10.0.0.1"];
        assert_eq!(ip_of("127.0.0.1", &["6.6.6.6, 198.51.100.7"], &trusted), "198.51.100.7");
        assert_eq!(ip_of("127.0.0.1", &["6.6.6.6", "7.7.7.7,10.0.0.1"], &trusted), "7.7.7.7");
        assert_eq!(ip_of("127.0.0.1", &["6.6.6.6, junk"], &trusted), "127.0.0.1");
        assert_eq!(ip_of("::ffff:127.0.0.1", &["2001:db8::1"], &trusted), "2001:db8::1");
    }
}
