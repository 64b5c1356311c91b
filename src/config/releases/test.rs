//! Reads checks of the kinds `http` and `webhook`: what a candidate is tried with before it gets users.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Method, Uri};

use crate::config::listener::WAIT;
use crate::config::reader::{Table, Value};
use crate::release::analysis::OnFail;
use crate::release::test::{Test, TestKind, TestRequest};

/// How often it is tried unless told otherwise, how long lies between two tries, and how long one
/// may take: a candidate that has just been started is given a moment.
const ATTEMPTS: u32 = 3;
const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// What there may be of tries and of requests.
const MOST_ATTEMPTS: RangeInclusive<u64> = 1..=1000;
const MOST_REQUESTS: usize = 100;

/// What belongs where requests are.
const REQUESTS: &str =
    "a list of requests such as [{ path = \"/healthz\", expect = { status = 200 } }]";

/// What belongs where somebody else is asked.
pub(in crate::config::releases) const URL: &str = "a URL such as \"https://ci.internal/tests\"";

/// Reads requests that the candidate has to answer.
pub(in crate::config::releases) fn http(table: &mut Table<'_>, on_fail: OnFail) -> Option<Test> {
    let requests = table.needed("requests", REQUESTS);
    let requests = requests.and_then(|value| {
        let requests = value.list(REQUESTS, |value| value.table(request)?)?;
        if !(1..=MOST_REQUESTS).contains(&requests.len()) {
            let n = requests.len();
            value.refuse(format!("{n} requests are not from 1 to {MOST_REQUESTS}"));
            return None;
        }
        Some(requests)
    });
    tried(table, on_fail, requests.map(TestKind::Http))
}

/// Reads whom to ask.
pub(in crate::config::releases) fn webhook(table: &mut Table<'_>, on_fail: OnFail) -> Option<Test> {
    let url = table.needed("url", URL);
    let url = url.and_then(|value| self::url(&value));
    tried(table, on_fail, url.map(TestKind::Webhook))
}

fn tried(table: &mut Table<'_>, on_fail: OnFail, kind: Option<TestKind>) -> Option<Test> {
    if let Some(value) = table.optional("at") {
        value.choice(&[("preview", ())]);
    }
    let (mut attempts, mut interval, mut timeout) = (ATTEMPTS, INTERVAL, TIMEOUT);
    table.set("attempts", &mut attempts, |value| {
        u32::try_from(value.whole(MOST_ATTEMPTS)?).ok()
    });
    table.set("interval", &mut interval, |value| value.duration(&WAIT));
    table.set("timeout", &mut timeout, |value| value.duration(&WAIT));
    Some(Test {
        kind: kind?,
        on_fail,
        attempts,
        interval,
        timeout,
    })
}

fn request(table: &mut Table<'_>) -> Option<TestRequest> {
    let mut request = TestRequest {
        method: "GET".to_owned(),
        path: String::new(),
        headers: BTreeMap::new(),
        body: None,
        status: 200,
        contains: None,
    };
    table.set("method", &mut request.method, method);
    let path = table.required("path", "a path such as \"/healthz\"");
    let path = path.and_then(|value| value.parsed("a path such as \"/healthz\"", path_text));
    table.set("headers", &mut request.headers, headers);
    table.set("body", &mut request.body, |value| {
        Some(Some(value.string()?.to_owned()))
    });
    table.section("expect", |table| {
        table.set("status", &mut request.status, |value| {
            u16::try_from(value.whole(100..=599)?).ok()
        });
        table.set("contains", &mut request.contains, |value| {
            let text = value.parsed("a text", |text| (!text.is_empty()).then_some(text))?;
            Some(Some(text.to_owned()))
        });
    });
    request.path = path?;
    Some(request)
}

/// Reads a method.
pub(in crate::config::releases) fn method(value: &Value<'_>) -> Option<String> {
    value.parsed("a method", |text| {
        Method::from_bytes(text.as_bytes()).ok()?;
        Some(text.to_owned())
    })
}

/// A path with its query, as a request has it.
fn path_text(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let is_path = text.starts_with('/') && uri.authority().is_none();
    is_path.then(|| text.to_owned())
}

/// Reads fields with their values; names come out in lower case.
pub(in crate::config::releases) fn headers(value: &Value<'_>) -> Option<BTreeMap<String, String>> {
    let mut is_whole = value.is_table();
    let fields = value.entries(|name, value| {
        let field = field(name, value);
        is_whole &= field.is_some();
        field
    });
    is_whole.then(|| fields.into_iter().collect())
}

fn field(name: &str, value: &Value<'_>) -> Option<(String, String)> {
    let Ok(field) = HeaderName::from_bytes(name.as_bytes()) else {
        value.refuse_key(format!("{name:?} is not the name of a header"));
        return None;
    };
    let text = value.parsed("the value of a header", |text| {
        HeaderValue::from_str(text).ok()?;
        (text.trim() == text && !text.is_empty()).then_some(text)
    })?;
    Some((field.as_str().to_owned(), text.to_owned()))
}

/// Reads a URL of HTTP.
fn url(value: &Value<'_>) -> Option<String> {
    value.parsed(URL, |text| {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme()?;
        let is_http = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
        let authority = uri.authority()?;
        let is_plain = !authority.host().is_empty() && !authority.as_str().contains('@');
        (is_http && is_plain).then(|| text.to_owned())
    })
}
