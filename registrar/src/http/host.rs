//! Whether a request is meant for this server.
//!
//! A page of another site may have its name lead to an address of ours (DNS rebinding); for the browser, what is
//! served here is that site's then. Its requests name that site in their Host header. So only hosts that no other
//! site can have are answered: addresses, `localhost`, and the names that are configured.

use hyper::Request;
use hyper::header::HOST;
use hyper::http::uri::Authority;

/// Whether every host that a request names may be asked for. One that names none comes from no browser.
pub(super) fn is_ours<B>(request: &Request<B>, names: &[String]) -> bool {
    let target = request.uri().authority().map(|authority| is_known(authority.host(), names));
    let named = request.headers().get_all(HOST).iter().map(|value| {
        let authority = value.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
        authority.is_some_and(|authority| is_known(authority.host(), names))
    });
    target.into_iter().chain(named).all(|known| known)
}

fn is_known(host: &str, names: &[String]) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host);
    address.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_configured_names_are_ours_and_nothing_else() {
        let names = ["registrar.example".to_owned()];
        let request = |target: &str, hosts: &[&str]| {
            let request =
                hosts.iter().fold(Request::get(target), |request, host| request.header(HOST, *host));
            is_ours(&request.body(()).unwrap(), &names)
        };
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "192.0.2.7",
            "[::1]:8080",
            "[2001:db8::1]",
            "localhost",
            "LocalHost:80",
            "localhost.",
            "Registrar.Example:8080",
            "registrar.example.",
        ] {
            assert!(request("/", &[host]), "{host}");
        }
        for host in [
            "",
            "rebound.example",
            "127.0.0.1.rebound.example",
            "localhost.rebound.example",
            "xregistrar.example",
            "registrar.example@rebound.example",
            "[::1",
            "1.2.3",
            "a b",
        ] {
            assert!(!request("/", &[host]), "{host}");
        }
        assert!(request("/", &[]));
        assert!(!request("/", &["localhost", "rebound.example"]), "each is looked at");
        assert!(!request("http://rebound.example/", &["localhost"]));
        assert!(request("http://127.0.0.1/", &["localhost"]));
    }
}
