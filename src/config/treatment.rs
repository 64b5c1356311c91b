//! Reads what a route does to requests and responses besides passing them on.

use http::HeaderName;

use crate::config::guard::number;
use crate::config::listener::{BODY_BYTES, WAIT};
use crate::config::reader::{Table, Value};
use crate::config::secret::Secret;
use crate::http1::codec::is_authority;
use crate::proxy::{RouteTimeouts, owner_in_requests, owner_in_responses};
use crate::route::{Match, PathRewrite, RewriteSpec};

/// How many requests at once a route may be limited to.
const MOST_REQUESTS: u64 = 10_000_000;

/// The longest value of a field that is set: what servers take for a whole head.
const MAX_VALUE: usize = 8 << 10;

/// What a route does to requests and responses on their way; by default nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TreatmentConfig {
    /// What changes in the fields of a request.
    pub request_headers: HeaderEdits,
    /// What changes in the fields of a response.
    pub response_headers: HeaderEdits,
    /// What becomes of the path of a request.
    pub path: Option<PathRewrite>,
    /// The host that the upstream is asked for, with or without a port.
    pub host: Option<String>,
    /// Who is told of route and variant.
    pub assignment_headers: AssignmentHeaders,
    /// How long things may take.
    pub timeouts: RouteTimeouts,
    /// The largest body of a request, in the place of the listener's limit.
    pub body_bytes: Option<u64>,
    /// How many requests may be under way at once.
    pub requests: Option<u32>,
}

/// Who is told of the route and the variant of a request, by `X-Tidegate-Route` and
/// `X-Tidegate-Variant`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AssignmentHeaders {
    /// Nobody.
    #[default]
    Off,
    /// The upstream: the variant that serves.
    Request,
    /// The client: the variant that was chosen.
    Response,
    /// Both of them.
    Both,
}

impl AssignmentHeaders {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Off, Self::Request, Self::Response, Self::Both];

    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Request => "request",
            Self::Response => "response",
            Self::Both => "both",
        }
    }
}

/// What changes in the fields of a head. No name stands in two of them; names are in lower case.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HeaderEdits {
    /// The names of fields that are taken out.
    pub remove: Vec<String>,
    /// Fields that take the place of those of their names.
    pub set: Vec<(String, HeaderText)>,
    /// Fields that are put in besides those of their names.
    pub add: Vec<(String, HeaderText)>,
}

/// The value of a field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HeaderText {
    /// As it stands in the file.
    Plain(String),
    /// One that is not to be shown.
    Secret(Secret),
}

impl HeaderText {
    /// The text itself.
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}

/// Whose fields are edited.
#[derive(Clone, Copy)]
enum Side {
    Request,
    Response,
}

/// Reads it all; `None` when a problem was recorded. `matched` is what the route catches, if that is
/// known, and `request_id` the field with the request's id, if there is one.
pub(crate) fn read(
    table: &mut Table<'_>,
    matched: Option<&Match>,
    request_id: Option<&str>,
) -> Option<TreatmentConfig> {
    let request = edits(table, "request_headers", Side::Request, request_id);
    let response = edits(table, "response_headers", Side::Response, None);
    let rewrite = match table.optional("rewrite") {
        Some(value) => rewrite(&value, matched),
        None => Some((None, None)),
    };
    let mut assignment_headers = AssignmentHeaders::default();
    table.set("assignment_headers", &mut assignment_headers, |value| {
        value.choice(&AssignmentHeaders::ALL.map(|to| (to.name(), to)))
    });
    let timeouts = timeouts(table);
    let (mut body_bytes, mut requests) = (None, None);
    table.section("limits", |table| {
        table.set("body", &mut body_bytes, |value| {
            Some(Some(value.size(BODY_BYTES)?))
        });
        table.set("requests", &mut requests, |value| {
            let limit = number(value, 0..=MOST_REQUESTS)?;
            Some((limit > 0).then_some(limit))
        });
    });
    let (path, host) = rewrite?;
    Some(TreatmentConfig {
        request_headers: request?,
        response_headers: response?,
        path,
        host,
        assignment_headers,
        timeouts,
        body_bytes,
        requests,
    })
}

/// Reads what becomes of a request's target: its path and its host.
fn rewrite(
    value: &Value<'_>,
    matched: Option<&Match>,
) -> Option<(Option<PathRewrite>, Option<String>)> {
    value.table(|table| {
        let path = path_rewrite(table, matched);
        let host = match table.optional("host") {
            Some(value) => Some(Some(host(&value)?)),
            None => Some(None),
        };
        let (path, host) = (path?, host?);
        if path.is_none() && host.is_none() {
            table.refuse("empty; a prefix, a path, a regex_path or a host belongs here");
            return None;
        }
        Some((path, host))
    })?
}

/// Reads the one way in which a path is rewritten; the outer `None` is a problem, the inner one is
/// absence.
pub(crate) fn path_rewrite(
    table: &mut Table<'_>,
    matched: Option<&Match>,
) -> Option<Option<PathRewrite>> {
    let mut result = Some(None);
    let mut n_ways = 0;
    for key in ["prefix", "path", "regex_path"] {
        let Some(value) = table.optional(key) else {
            continue;
        };
        n_ways += 1;
        if n_ways != 1 {
            value.refuse_key("only one of prefix, path and regex_path can be given");
            result = None;
            continue;
        }
        result = value.string().and_then(|text| {
            let text = text.to_owned();
            let spec = match key {
                "prefix" => RewriteSpec::Prefix(text),
                "path" => RewriteSpec::Path(text),
                _ => RewriteSpec::Template(text),
            };
            let rewrite = PathRewrite::new(spec, matched?);
            let rewrite = rewrite.map_err(|error| value.refuse(error.to_string()));
            Some(Some(rewrite.ok()?))
        });
    }
    result
}

/// Reads a host that stands in a request, with or without a port.
fn host(value: &Value<'_>) -> Option<String> {
    let what = "a host such as \"shop.internal\" or \"shop.internal:8080\"";
    let text = value.parsed(what, |text| is_authority(text.as_bytes()).then_some(text))?;
    Some(text.to_owned())
}

fn timeouts(table: &mut Table<'_>) -> RouteTimeouts {
    let mut timeouts = RouteTimeouts::default();
    table.section("timeouts", |table| {
        for (key, target) in [
            ("response", &mut timeouts.response),
            ("body", &mut timeouts.body),
            ("tunnel", &mut timeouts.tunnel),
        ] {
            table.set(key, target, |value| Some(Some(value.duration(&WAIT)?)));
        }
    });
    timeouts
}

fn edits(
    table: &mut Table<'_>,
    key: &'static str,
    side: Side,
    request_id: Option<&str>,
) -> Option<HeaderEdits> {
    let Some(value) = table.optional(key) else {
        return Some(HeaderEdits::default());
    };
    value.table(|table| {
        let mut seen = Vec::new();
        let mut is_whole = true;
        let mut name = |value: &Value<'_>, name: &str| {
            let name = field_name(value, name, side, request_id, &mut seen);
            is_whole &= name.is_some();
            name
        };
        let remove = match table.optional("remove") {
            Some(value) => value.list("a list of names such as [\"server\"]", |value| {
                let text = value.string()?;
                name(value, text)
            }),
            None => Some(Vec::new()),
        };
        let mut fields = |key| {
            let Some(value) = table.optional(key) else {
                return Some(Vec::new());
            };
            let mut n_entries = 0;
            let fields = value.entries(|text, value| {
                n_entries += 1;
                let name = name(value, text);
                let text = field_text(value);
                if key == "add" && name.as_deref() == Some("cookie") {
                    value
                        .refuse_key("a request has one field with all cookies; set can replace it");
                    return None;
                }
                Some((name?, text?))
            });
            (value.is_table() && n_entries == fields.len()).then_some(fields)
        };
        let (set, add) = (fields("set"), fields("add"));
        let edits = HeaderEdits {
            remove: remove?,
            set: set?,
            add: add?,
        };
        is_whole.then_some(edits)
    })?
}

/// Checks the name of a field that is edited, and gives it in lower case.
fn field_name(
    value: &Value<'_>,
    text: &str,
    side: Side,
    request_id: Option<&str>,
    seen: &mut Vec<String>,
) -> Option<String> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        value.refuse_key(format!("{text:?} is not the name of a header"));
        return None;
    };
    let name = name.as_str().to_owned();
    let owner = match side {
        Side::Request if request_id == Some(&name) => {
            Some("trace.request_id names it, and tidegate tells the request's id in it")
        }
        Side::Request => owner_in_requests(&name),
        Side::Response => owner_in_responses(&name),
    };
    if let Some(owner) = owner {
        value.refuse_key(format!("{name} cannot be edited: {owner}"));
        return None;
    }
    if seen.contains(&name) {
        value.refuse_key(format!(
            "{name} has another edit already; one name, one edit"
        ));
        return None;
    }
    seen.push(name.clone());
    Some(name)
}

/// Reads the value of a field: a text, or `{ file = "…" }` with a secret in it.
pub(crate) fn field_text(value: &Value<'_>) -> Option<HeaderText> {
    if value.is_table() {
        return Some(HeaderText::Secret(value.secret_line(1..=MAX_VALUE)?));
    }
    let what = "a text of visible ASCII characters without space around it, or { file = \"…\" }";
    let is_plain = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
    value
        .parsed(what, |text| {
            let fits = text.len() <= MAX_VALUE && text.trim() == text && text.bytes().all(is_plain);
            fits.then_some(text)
        })
        .map(|text| HeaderText::Plain(text.to_owned()))
}
