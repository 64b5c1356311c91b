//! The cookies by which clients stay where they are.

use std::io::Write as _;
use std::time::Duration;

use crate::message::Scheme;

/// A cookie that keeps a client where it is: by an identity that is hashed, or by a pin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StickyCookie {
    /// Its name, a token.
    pub name: String,
    /// How long a client is to keep it, in whole seconds; `None` is until the browser is closed.
    pub max_age: Option<Duration>,
}

impl StickyCookie {
    /// The cookie of identities, unless told otherwise.
    pub fn identity() -> Self {
        Self {
            name: "tidegate_id".to_owned(),
            max_age: None,
        }
    }

    /// The cookie of pins, unless told otherwise.
    pub fn pin() -> Self {
        Self {
            name: "tidegate_pin".to_owned(),
            max_age: None,
        }
    }

    /// Appends the value of the Set-Cookie field that gives it to a client.
    ///
    /// `SameSite=Lax`, not `Strict`: with that the first request that comes from another site would
    /// carry no cookie and be assigned anew. No `Domain`: the cookie stays with this very host.
    pub fn set(&self, value: &[u8], scheme: Scheme, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value);
        out.extend_from_slice(b"; Path=/; HttpOnly; SameSite=Lax");
        match scheme {
            Scheme::Https => out.extend_from_slice(b"; Secure"),
            Scheme::Http => {}
        }
        if let Some(max_age) = self.max_age {
            write!(out, "; Max-Age={}", max_age.as_secs()).expect("a vector takes every write");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::message::Scheme;
    use crate::split::StickyCookie;

    #[test]
    fn the_cookie_is_for_the_whole_host_and_hidden_from_scripts() {
        let mut out = Vec::new();
        StickyCookie::identity().set(b"0a", Scheme::Http, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "tidegate_id=0a; Path=/; HttpOnly; SameSite=Lax"
        );
        let cookie = StickyCookie {
            name: "who".to_owned(),
            max_age: Some(Duration::from_secs(2_592_000)),
        };
        let mut out = Vec::new();
        cookie.set(b"0a", Scheme::Https, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "who=0a; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=2592000"
        );
    }
}
