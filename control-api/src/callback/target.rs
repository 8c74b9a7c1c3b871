//! Where callbacks may go (S22): HTTPS to public hosts; the development switch allows the rest.

use std::net::IpAddr;

/// Longest URL of a callback.
const MAX_URL_LEN: usize = 2048;

/// A callback's target (S22): HTTPS to a public host; the development switch allows the rest.
pub fn callback_url(text: &str, allow_private_targets: bool) -> Result<(), String> {
    let url = reqwest::Url::parse(text)
        .map_err(|error| format!("not a URL ({error}); allowed is https://host/path"))?;
    if text.len() > MAX_URL_LEN {
        return Err(format!("allowed are up to {MAX_URL_LEN} characters"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(
            "allowed is a URL without user, password and fragment; use auth_header for credentials"
                .into(),
        );
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_private_targets => {}
        _ => return Err("allowed is https:// only".into()),
    }
    let Some(host) = url.host_str() else { return Err("allowed is a URL with a host".into()) };
    if !allow_private_targets && is_private_host(host) {
        return Err("private and loopback targets are refused; allowed are public hosts".into());
    }
    Ok(())
}

/// Names and literal addresses that lead into this machine or network. What a public name resolves
/// to is checked on delivery.
fn is_private_host(host: &str) -> bool {
    let literal = host.trim_matches(['[', ']']);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return is_private(address);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let private_zones = ["localhost", "local", "internal", "intranet", "lan", "home.arpa"];
    !name.contains('.')
        || private_zones.iter().any(|zone| {
            name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

/// RFC 6890: addresses that are not of the public Internet.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_documentation()
                || matches!(
                    (a, b, c),
                    (0, ..)
                        | (100, 64..=127, _)
                        | (192, 0, 0)
                        | (198, 18 | 19, _)
                        | (240..=255, ..)
                )
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            // Only 2000::/3 is global unicast; 2001:db8::/32 documents, 64:ff9b::/96 and 2002::/16
            // embed IPv4.
            first & 0xE000 != 0x2000
                || first == 0x2002
                || (first == 0x2001 && matches!(v6.segments()[1], 0 | 0x0db8))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callback_targets_are_public_and_encrypted_unless_switched() {
        // S22: target, allowed, allowed with the development switch.
        for (url, public, development) in [
            ("https://crm.example.com/hook?x=1", true, true),
            ("https://crm.example.com:8443/", true, true),
            ("https://8.8.8.8/", true, true),
            ("https://[2606:4700::1111]/", true, true),
            ("http://crm.example.com/", false, true),
            ("https://127.0.0.1/", false, true),
            ("http://127.0.0.1:9000/hook", false, true),
            ("https://localhost/", false, true),
            ("https://LOCALHOST./", false, true),
            ("https://crm.localhost/", false, true),
            ("https://crm.internal/", false, true),
            ("https://crm/", false, true),
            ("https://10.0.0.1/", false, true),
            ("https://172.16.5.5/", false, true),
            ("https://192.168.1.1/", false, true),
            ("https://169.254.169.254/latest", false, true),
            ("https://100.64.0.1/", false, true),
            ("https://0.0.0.0/", false, true),
            ("https://0x7f000001/", false, true),
            ("https://2130706433/", false, true),
            ("https://[::1]/", false, true),
            ("https://[::ffff:10.0.0.1]/", false, true),
            ("https://[fe80::1]/", false, true),
            ("https://[fd00::1]/", false, true),
            ("https://[2002:7f00:1::]/", false, true),
            ("https://user:password@crm.example.com/", false, false),
            ("https://crm.example.com/#part", false, false),
            ("ftp://crm.example.com/", false, false),
            ("file:///etc/passwd", false, false),
            ("crm.example.com/hook", false, false),
            ("", false, false),
        ] {
            assert_eq!(callback_url(url, false).is_ok(), public, "{url:?}");
            assert_eq!(callback_url(url, true).is_ok(), development, "{url:?}");
        }
    }
}
