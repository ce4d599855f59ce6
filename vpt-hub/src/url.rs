//! What this crate needs to know about web addresses.

use ureq::http::Uri;

/// Scheme, host and port of an address: who gets the token and who does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an address, if it is one of `http` or `https` and holds no user name.
    pub(crate) fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        Some(Self {
            https,
            host: authority.host().to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(if https { 443 } else { 80 }),
        })
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.https
    }
}

/// The address that the `Location` header of an answer from `base` leads to.
pub(crate) fn join(base: &str, location: &str) -> Option<String> {
    let uri: Uri = base.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let location = location.split('#').next()?;
    if location.contains("://") && Origin::of(location).is_some() {
        Some(location.to_owned())
    } else if location.starts_with("//") {
        Some(format!("{scheme}:{location}"))
    } else if location.starts_with('/') {
        Some(format!("{scheme}://{authority}{location}"))
    } else if location.is_empty() || location.split(['/', '?']).next()?.contains(':') {
        None
    } else {
        let (folder, _) = uri.path().rsplit_once('/')?;
        Some(format!("{scheme}://{authority}{folder}/{location}"))
    }
}

/// Percent-encodes what is not plain; `/` stays if it separates the parts of a path.
pub(crate) fn encode(text: &str, keep_slashes: bool) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slashes && byte == b'/');
        if plain {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// An address as it may be shown: what follows `?` can hold a signature that opens the file to anyone.
pub(crate) fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let same = |a: &str, b: &str| Origin::of(a).unwrap() == Origin::of(b).unwrap();
        assert!(same("https://hub/a", "https://HUB:443/b?c"));
        assert!(!same("https://hub", "http://hub"));
        assert!(!same("https://hub", "https://hub:8443"));
        assert!(!same("https://hub", "https://cdn.hub"));
        for bad in [
            "ftp://hub",
            "hub",
            "/a",
            "https://user:secret@hub/",
            "https://hub@evil/",
            "",
        ] {
            assert_eq!(Origin::of(bad), None, "{bad}");
        }
    }

    #[test]
    fn locations_are_resolved_against_where_they_were_given() {
        let to = |location| join("https://hub:1/a/b?c", location);
        assert_eq!(to("https://cdn/x?y#z").unwrap(), "https://cdn/x?y");
        assert_eq!(to("//cdn/x").unwrap(), "https://cdn/x");
        assert_eq!(to("/x").unwrap(), "https://hub:1/x");
        assert_eq!(to("x?u=http://y").unwrap(), "https://hub:1/a/x?u=http://y");
        for bad in ["", "file:///etc/passwd", "javascript:x", "https://a@b/"] {
            assert_eq!(to(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_encoded_and_signatures_hidden() {
        assert_eq!(encode("a b/c#d?e", true), "a%20b/c%23d%3Fe");
        assert_eq!(encode("refs/pr/1", false), "refs%2Fpr%2F1");
        assert_eq!(shown("https://cdn/x?Signature=1"), "https://cdn/x");
    }
}
