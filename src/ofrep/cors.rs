//! Which pages may read the answers (the Fetch standard, section 3.3).
//!
//! A browser asks first, by `OPTIONS`, and remembers what it was told. Nothing here keeps anybody
//! from asking: it only tells browsers whose scripts may see the answer, errors included, because
//! without that a script cannot tell a wrong token from a broken network.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    ORIGIN, VARY,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

/// The origin that stands for all of them.
const ANY: &str = "*";
/// How long a browser may remember what it was told, in seconds: more than two hours Chromium does
/// not take.
const MAX_AGE: &str = "7200";
/// The fields that a script may send: those of the providers.
const ALLOWED: &str = "content-type, authorization, x-api-key, if-none-match";
/// The fields that a script may read: what is not here is hidden from it.
const EXPOSED: &str = "ETag, Retry-After";

/// True for what may stand among allowed origins: `*`, or an origin as browsers send it, such as
/// `https://shop.example` or `http://localhost:3000`. Anything else would never be equal to one: what
/// has a path, an upper-case letter, or the port that its scheme has anyway.
pub fn is_origin(text: &str) -> bool {
    if text == ANY {
        return true;
    }
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let of_scheme =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    !scheme.is_empty()
        && scheme.bytes().all(of_scheme)
        && !host.contains(|c: char| "@*".contains(c) || c.is_ascii_uppercase())
        && host.parse::<Authority>().is_ok()
        && (own_port.is_empty() || !host.ends_with(own_port))
}

/// What a page is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::ofrep) struct Cors {
    /// The origin that may read the answer.
    allowed: Option<HeaderValue>,
    /// Whether who asks matters for that.
    varies: bool,
}

impl Cors {
    /// Decides for a request with these fields.
    pub(in crate::ofrep) fn of(origins: &[String], headers: &HeaderMap) -> Self {
        if origins.iter().any(|origin| origin == ANY) {
            return Self {
                allowed: Some(HeaderValue::from_static(ANY)),
                varies: false,
            };
        }
        let sent = headers.get(ORIGIN);
        // The Fetch standard, section 3.2: an origin is sent as it is compared, byte by byte.
        let is = |sent: &&HeaderValue| {
            origins
                .iter()
                .any(|origin| origin.as_bytes() == sent.as_bytes())
        };
        Self {
            allowed: sent.filter(is).cloned(),
            varies: !origins.is_empty(),
        }
    }

    /// Adds to an answer what tells the browser whether its script may read it.
    pub(in crate::ofrep) fn apply(&self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = &self.allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSED),
            );
        }
    }

    /// The fields of the answer to `OPTIONS`, where there are these methods.
    pub(in crate::ofrep) fn preflight(
        &self,
        methods: &'static str,
        request: &HeaderMap,
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ALLOW, HeaderValue::from_static(methods));
        self.apply(&mut headers);
        headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        if self.allowed.is_some() && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            for (name, value) in [
                (ACCESS_CONTROL_ALLOW_METHODS, methods),
                (ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED),
                (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use crate::ofrep::cors::{Cors, is_origin};

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn text(headers: &HeaderMap) -> String {
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.join("\n")
    }

    #[track_caller]
    fn check(origins: &[&str], fields: &[(&'static str, &str)], expected: &str) {
        let origins: Vec<String> = origins.iter().copied().map(str::to_owned).collect();
        let mut answer = HeaderMap::new();
        Cors::of(&origins, &headers(fields)).apply(&mut answer);
        assert_eq!(text(&answer), expected, "{origins:?} {fields:?}");
    }

    const OWN: [&str; 2] = ["https://shop.example", "http://localhost:3000"];

    #[test]
    fn a_configured_origin_may_read_and_the_answer_depends_on_it() {
        for origin in OWN {
            let expected = format!(
                "access-control-allow-origin: {origin}\n\
                 access-control-expose-headers: ETag, Retry-After\n\
                 vary: Origin"
            );
            check(&OWN, &[("origin", origin)], &expected);
        }
    }

    #[test]
    fn another_origin_is_told_nothing_but_that_it_matters() {
        for origin in [
            "https://evil.example",
            "https://shop.example.evil.example",
            "https://shop.example:444",
            "http://shop.example",
            "null",
        ] {
            check(&OWN, &[("origin", origin)], "vary: Origin");
        }
        check(&OWN, &[], "vary: Origin");
    }

    #[test]
    fn all_origins_are_one_answer_for_everybody() {
        let expected = "access-control-allow-origin: *\n\
                        access-control-expose-headers: ETag, Retry-After";
        check(&["*"], &[("origin", "https://any.example")], expected);
        check(&["*"], &[], expected);
    }

    #[test]
    fn without_configured_origins_nothing_is_said() {
        check(&[], &[("origin", "https://shop.example")], "");
    }

    #[test]
    fn a_preflight_is_answered_with_all_that_may_be_asked_for_two_hours() {
        let origins = OWN.map(str::to_owned);
        let asked = headers(&[
            ("origin", "https://shop.example"),
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "authorization,content-type,if-none-match",
            ),
        ]);
        let answer = Cors::of(&origins, &asked).preflight("POST, OPTIONS", &asked);
        assert_eq!(
            text(&answer),
            "access-control-allow-headers: content-type, authorization, x-api-key, if-none-match\n\
             access-control-allow-methods: POST, OPTIONS\n\
             access-control-allow-origin: https://shop.example\n\
             access-control-max-age: 7200\n\
             allow: POST, OPTIONS\n\
             vary: Origin"
        );
        let foreign = headers(&[
            ("origin", "https://evil.example"),
            ("access-control-request-method", "POST"),
        ]);
        let answer = Cors::of(&origins, &foreign).preflight("POST, OPTIONS", &foreign);
        assert_eq!(text(&answer), "allow: POST, OPTIONS\nvary: Origin");
    }

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for origin in [
            "*",
            "https://shop.example",
            "http://localhost:3000",
            "http://[::1]:8080",
            "https://shop.example:8443",
            "chrome-extension://abcdefgh",
        ] {
            assert!(is_origin(origin), "{origin}");
        }
        for other in [
            "",
            "null",
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://shop.example/path",
            "https://Shop.example",
            "HTTPS://shop.example",
            "https://shop.example:443",
            "http://shop.example:80",
            "https://user@shop.example",
            "https://*.shop.example",
            "https://shop.example https://b.example",
        ] {
            assert!(!is_origin(other), "{other}");
        }
    }
}
