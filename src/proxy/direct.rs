//! Direct answers: what a route says by itself, with no upstream behind it.
//!
//! A redirect or a page is made ready with the snapshot, edits of its fields included; for each
//! request there is left to write the date, the request's id and, for a redirect, where it leads.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::message::Body;
use crate::proxy::Redirect;
use crate::proxy::answer::{reason_phrase, write_date};
use crate::proxy::grpc;
use crate::proxy::headers::{FieldEdits, OwnField, Sink};
use crate::telemetry::stats::{GrpcStatus, VariantStats};

/// The name of the field that says where a redirect leads.
const LOCATION: &[u8] = b"location";

/// A page that is the same for everybody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// The status: 200 to 599.
    pub status: u16,
    /// Its fields by name, besides those that frame it.
    pub fields: Vec<(String, String)>,
    /// What it says.
    pub body: Bytes,
}

/// What a route answers by itself.
#[derive(Debug)]
pub struct Direct {
    status: u16,
    /// What is counted of it.
    pub stats: Arc<VariantStats>,
    redirect: Option<Redirect>,
    /// Its fields, besides those that frame it and those that differ by request.
    fields: Vec<OwnField>,
    /// Its head for HTTP/1 as far as it is the same for all: status line, fields, length of the body.
    head: Box<[u8]>,
    body: Bytes,
    /// True when the location is told, or the request's id: edits may take either away.
    tells_location: bool,
    tells_id: bool,
}

impl Direct {
    /// Makes a redirect ready. `request_id` is the name of the field with the request's id, if
    /// there is one.
    pub fn redirect(
        redirect: Redirect,
        edits: &FieldEdits,
        request_id: Option<&[u8]>,
        stats: Arc<VariantStats>,
    ) -> Self {
        let tells_location = !edits.drop(LOCATION);
        let status = redirect.status;
        let direct = Self::new(status, &[], Bytes::new(), edits, request_id, stats);
        Self {
            redirect: Some(redirect),
            tells_location,
            ..direct
        }
    }

    /// Makes a page ready likewise.
    pub fn page(
        page: &Page,
        edits: &FieldEdits,
        request_id: Option<&[u8]>,
        stats: Arc<VariantStats>,
    ) -> Self {
        let body = page.body.clone();
        Self::new(page.status, &page.fields, body, edits, request_id, stats)
    }

    fn new(
        status: u16,
        fields: &[(String, String)],
        body: Bytes,
        edits: &FieldEdits,
        request_id: Option<&[u8]>,
        stats: Arc<VariantStats>,
    ) -> Self {
        let fields = fields.iter().map(|(name, value)| OwnField {
            name: name.as_bytes().into(),
            value: value.as_bytes().into(),
        });
        let mut fields: Vec<_> = fields.filter(|field| !edits.drop(&field.name)).collect();
        fields.extend_from_slice(edits.added());
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason_phrase(status)).into_bytes();
        for field in &fields {
            head.field(&field.name, &field.value);
        }
        if has_length(status) {
            head.length(body.len() as u64);
        }
        Self {
            status,
            stats,
            redirect: None,
            fields,
            head: head.into(),
            body,
            tells_location: false,
            tells_id: request_id.is_some_and(|name| !edits.drop(name)),
        }
    }

    /// The redirect that it is, if it is one.
    pub(crate) fn leads(&self) -> Option<&Redirect> {
        self.redirect.as_ref()
    }

    /// What it is, in the word of the configuration.
    pub fn kind(&self) -> &'static str {
        match self.redirect {
            Some(_) => "redirect",
            None => "respond",
        }
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What it says. All workers share its count, so only who sends it piece by piece clones it.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Writes its head for HTTP/1, to a request with this id behind the name of its field, with a
    /// location if it has one.
    pub(crate) fn write_http1(
        &self,
        out: &mut Vec<u8>,
        location: &[u8],
        id: Option<(&[u8], &[u8])>,
        close: bool,
    ) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"Date: ");
        write_date(out);
        out.extend_from_slice(b"\r\n");
        self.write_own(out, location, id);
        if close {
            out.close();
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Makes it a response for HTTP/2.
    pub(crate) fn http2(
        &self,
        location: &[u8],
        id: Option<(&[u8], &[u8])>,
        head_only: bool,
    ) -> Response<Body> {
        let mut response = Response::new(if head_only || self.body.is_empty() {
            Body::Empty
        } else {
            Body::Full(self.body.clone())
        });
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        self.write_own(headers, location, id);
        for field in &self.fields {
            headers.field(&field.name, &field.value);
        }
        if has_length(self.status) {
            headers.length(self.body.len() as u64);
        }
        response
    }

    /// Makes it a response to a call of gRPC, which takes no page and follows no redirect: the head
    /// says all, and its status of HTTP is 200.
    pub(crate) fn grpc(&self, id: Option<(&[u8], &[u8])>) -> (Response<Body>, GrpcStatus) {
        let mut response = Response::new(Body::Empty);
        let headers = response.headers_mut();
        for field in &self.fields {
            headers.field(&field.name, &field.value);
        }
        if let Some((name, id)) = id.filter(|_| self.tells_id) {
            headers.field(name, id);
        }
        let content_type = HeaderValue::from_static("application/grpc");
        headers.insert(header::CONTENT_TYPE, content_type);
        // What its own fields say goes before what is made of its status.
        let said = grpc::in_trailers(headers);
        let status = said.unwrap_or_else(|| grpc::of_http(self.status));
        if said.is_none() {
            headers.field(b"grpc-status", status.label().as_bytes());
        }
        if !headers.contains_key("grpc-message") {
            let message = format!("{} {}", self.status, reason_phrase(self.status));
            headers.field(b"grpc-message", message.as_bytes());
        }
        (response, status)
    }

    fn write_own<S: Sink>(&self, out: &mut S, location: &[u8], id: Option<(&[u8], &[u8])>) {
        if self.tells_location {
            out.field(LOCATION, location);
        }
        if let Some((name, id)) = id.filter(|_| self.tells_id) {
            out.field(name, id);
        }
    }
}

/// True when a response of this status tells a length: one that has no content must not (RFC 9110,
/// section 8.6).
fn has_length(status: u16) -> bool {
    status != 204
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http_body::Body as _;

    use crate::proxy::direct::{Direct, Page};
    use crate::proxy::headers::FieldEdits;
    use crate::proxy::redirect::Redirect;
    use crate::telemetry::stats::{Buckets, GrpcStatus, VariantLabels, VariantStats};

    const ID: &[u8] = b"x-request-id";

    fn stats() -> Arc<VariantStats> {
        let labels = VariantLabels {
            route: "r".into(),
            variant: "none".into(),
            upstream: "".into(),
        };
        let buckets = Arc::new(Buckets::new(&[1.0]).unwrap());
        Arc::new(VariantStats::new(labels, 1, buckets))
    }

    fn page(
        status: u16,
        fields: &[(&str, &str)],
        body: &'static str,
        edits: &FieldEdits,
    ) -> Direct {
        let fields = fields.iter();
        let fields = fields.map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let page = Page {
            status,
            fields: fields.collect(),
            body: Bytes::from_static(body.as_bytes()),
        };
        Direct::page(&page, edits, Some(ID), stats())
    }

    fn redirect(edits: &FieldEdits) -> Direct {
        let to = Redirect {
            status: 302,
            scheme: None,
            host: None,
            port: None,
            path: None,
            query: true,
        };
        Direct::redirect(to, edits, Some(ID), stats())
    }

    fn head(direct: &Direct, close: bool) -> String {
        let mut out = Vec::new();
        direct.write_http1(&mut out, b"http://a/", Some((ID, b"7")), close);
        let head = String::from_utf8(out).unwrap();
        let (before, rest) = head.split_once("Date: ").unwrap();
        let (_, after) = rest.split_once("\r\n").unwrap();
        format!("{before}{after}")
    }

    #[test]
    fn a_page_says_its_fields_its_length_and_the_requests_id() {
        let page = page(503, &[("retry-after", "5")], "soon", &FieldEdits::default());
        let text = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nContent-Length: 4\r\n\
                    x-request-id: 7\r\n";
        assert_eq!(head(&page, false), format!("{text}\r\n"));
        assert_eq!(
            head(&page, true),
            format!("{text}Connection: close\r\n\r\n")
        );
        let response = page.http2(b"", None, false);
        assert_eq!(response.body().size_hint().exact(), Some(4));
        let response = page.http2(b"", None, true);
        assert!(response.body().is_end_stream());
        assert_eq!(response.headers()["content-length"], "4");
    }

    #[test]
    fn a_status_without_content_tells_no_length() {
        let page = page(204, &[], "", &FieldEdits::default());
        assert_eq!(
            head(&page, false),
            "HTTP/1.1 204 No Content\r\nx-request-id: 7\r\n\r\n"
        );
        assert!(page.http2(b"", None, false).headers().is_empty());
    }

    #[test]
    fn edits_hold_for_what_differs_by_request_too() {
        let edits = FieldEdits::new(&["x-request-id"], &[("location", "/fixed")], &[]);
        let redirect = redirect(&edits);
        assert_eq!(
            head(&redirect, false),
            "HTTP/1.1 302 Found\r\nlocation: /fixed\r\nContent-Length: 0\r\n\r\n"
        );
        let response = redirect.http2(b"http://a/", Some((ID, b"7")), false);
        let locations: Vec<_> = response.headers().get_all("location").iter().collect();
        assert_eq!(locations, ["/fixed"]);
        assert!(!response.headers().contains_key("x-request-id"));
    }

    #[test]
    fn a_call_is_told_the_status_unless_the_page_has_one() {
        let (response, status) = page(503, &[], "soon", &FieldEdits::default()).grpc(None);
        assert_eq!(status, GrpcStatus::Unavailable);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(
            response.headers()["grpc-message"],
            "503 Service Unavailable"
        );
        assert!(response.body().is_end_stream());
        let (response, status) = redirect(&FieldEdits::default()).grpc(None);
        assert_eq!(status, GrpcStatus::Unknown);
        assert!(!response.headers().contains_key("location"));
        let own = [("grpc-status", "12"), ("grpc-message", "gone")];
        let (response, status) = page(200, &own, "", &FieldEdits::default()).grpc(None);
        assert_eq!(status, GrpcStatus::Unimplemented);
        assert_eq!(response.headers()["grpc-status"], "12");
        assert_eq!(response.headers()["grpc-message"], "gone");
    }
}
