//! Our reading against hyper's, on the same bytes.
//!
//! We refuse much that hyper repairs or lets pass; that is meant. Where both accept they must read
//! the same. What we accept and hyper does not is one thing, and anything else fails: a target with
//! characters such as `<` or `"` that `http::Uri` refuses and browsers have been seen to send.
//! What both accept and read differently is one thing too: the path of `OPTIONS http://host`,
//! which is `*` by RFC 9112, section 3.2.4, and `/` in a `Uri`.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::{ProptestConfig, Strategy, prop_oneof, proptest};
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http1::codec::tests::generate::{body, lines, mutate, mutation, origin_target};
use crate::http1::codec::{
    Asked, ChunkStep, ChunkedReader, HeadScanner, read_request, read_response,
};
use crate::message::{Field, Framing, Limits, RequestHead, ResponseHead};

/// What a message says, in a form that both readings have.
#[derive(Debug, Eq, PartialEq)]
struct Reading {
    /// Method and target, or status.
    start: String,
    /// Lower-case names with their values; those of one name in their order.
    fields: Vec<(String, Vec<u8>)>,
    /// The body; `None` when it is cut or broken.
    body: Option<Vec<u8>>,
}

/// Compares what we read with what hyper did.
#[track_caller]
fn compare(bytes: &[u8], ours: &Reading, mut theirs: Reading) {
    if ours.start.starts_with("OPTIONS * ") {
        theirs.start = theirs.start.replace("OPTIONS / ", "OPTIONS * ");
    }
    // Chunks that we refuse and hyper does not are no difference.
    if ours.body.is_none() {
        theirs.body = None;
    }
    assert_eq!(ours, &theirs, "{}", bytes.escape_ascii());
}

/// True when `http::Uri` refuses the target.
fn has_odd_target(bytes: &[u8]) -> bool {
    let target = bytes.split(|&byte| byte == b' ').nth(1);
    target.is_some_and(|target| Uri::try_from(target).is_err())
}

fn by_name(mut fields: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    fields
}

fn our_fields<'a>(fields: impl Iterator<Item = Field<'a>>) -> Vec<(String, Vec<u8>)> {
    by_name(
        fields
            .map(|field| {
                let name = str::from_utf8(field.name).unwrap().to_ascii_lowercase();
                (name, field.value.to_vec())
            })
            .collect(),
    )
}

fn their_fields(fields: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    by_name(
        fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect(),
    )
}

/// Reads a body of which everything is there.
fn our_body(framing: Framing, mut bytes: &[u8]) -> Option<Vec<u8>> {
    match framing {
        Framing::None => Some(Vec::new()),
        Framing::Length(length) => bytes
            .get(..usize::try_from(length).ok()?)
            .map(<[u8]>::to_vec),
        Framing::UntilClose => Some(bytes.to_vec()),
        Framing::Chunked => {
            let mut reader = ChunkedReader::new(&Limits::default());
            let mut body = Vec::new();
            loop {
                let (consumed, step) = reader.step(bytes).ok()?;
                match step {
                    ChunkStep::More => return None,
                    ChunkStep::Data(range) => body.extend_from_slice(&bytes[range]),
                    ChunkStep::End => return Some(body),
                }
                bytes = &bytes[consumed..];
            }
        }
    }
}

fn our_request(bytes: &[u8]) -> Option<Reading> {
    let limits = Limits::default();
    let length = HeadScanner::default().scan(bytes, &limits).ok()??;
    let mut head = RequestHead::default();
    read_request(&bytes[..length], &limits, &mut head).ok()?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let query = head.query().map(|query| format!("?{}", text(query)));
    Some(Reading {
        start: format!(
            "{} {}{} {}",
            text(head.method()),
            text(head.path()),
            query.unwrap_or_default(),
            head.version.name()
        ),
        fields: our_fields(head.fields()),
        body: our_body(head.framing, &bytes[length..]),
    })
}

fn our_response(bytes: &[u8], asked: Asked) -> Option<Reading> {
    let limits = Limits::default();
    let length = HeadScanner::default().scan(bytes, &limits).ok()??;
    let mut head = ResponseHead::default();
    read_response(&bytes[..length], &limits, asked, &mut head).ok()?;
    if head.is_interim() {
        // So does hyper: it waits for the final one.
        return our_response(&bytes[length..], asked);
    }
    Some(Reading {
        start: head.status.to_string(),
        fields: our_fields(head.fields()),
        body: our_body(head.framing, &bytes[length..]),
    })
}

fn run<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(task)
}

/// What hyper's server makes of these bytes, after which the client says no more.
async fn their_request(bytes: &[u8]) -> Option<Reading> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let seen = Rc::new(RefCell::new(None));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            let path = parts.uri.path_and_query().map(ToString::to_string);
            let body = body.collect().await.ok();
            *seen.borrow_mut() = Some(Reading {
                start: format!(
                    "{} {} {:?}",
                    parts.method,
                    path.unwrap_or_default(),
                    parts.version
                ),
                fields: their_fields(&parts.headers),
                body: body.map(|body| body.to_bytes().to_vec()),
            });
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    // It errs when the head or the body does, which `seen` tells.
    let _ = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .keep_alive(false)
        .serve_connection(TokioIo::new(server), service)
        .await;
    seen.take()
}

/// What hyper's client makes of these bytes, after which the server says no more.
async fn their_response(bytes: &[u8], method: &str) -> Option<Reading> {
    let (client, mut server) = tokio::io::duplex(1 << 20);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client))
        .await
        .unwrap();
    let answer = async {
        let mut request = [0; 1024];
        let _ = server.read(&mut request).await;
        server.write_all(bytes).await.unwrap();
        server.shutdown().await.unwrap();
        // Kept open to be read from: hyper would take a failed write for the outcome.
        server
    };
    let ask = async {
        let request = Request::builder()
            .method(method)
            .uri("/")
            .header("host", "h")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
        Some(Reading {
            start: parts.status.as_u16().to_string(),
            fields: their_fields(&parts.headers),
            body: body
                .collect()
                .await
                .ok()
                .map(|body| body.to_bytes().to_vec()),
        })
    };
    let (_server, _outcome, reading) = tokio::join!(answer, connection, ask);
    reading
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn hyper_reads_the_same_request(
        method in select(&["GET", "HEAD", "POST", "OPTIONS", "PURGE"][..]),
        target in prop_oneof![
            4 => origin_target(),
            1 => select(&["*", "http://a.example/b?c", "http://a", "https://u@a/", "/a|b", "a:80"][..])
                .prop_map(str::to_owned),
        ],
        version in select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"][..]),
        lines in lines(),
        (announcement, body) in body(),
        mutation in mutation(),
    ) {
        let mut bytes = format!("{method} {target} {version}\r\nHost: h\r\n{announcement}").into_bytes();
        bytes.extend([&lines[..], b"\r\n", &body].concat());
        let bytes = mutate(bytes, mutation);
        let Some(ours) = our_request(&bytes) else {
            return Ok(());
        };
        match run(their_request(&bytes)) {
            Some(theirs) => compare(&bytes, &ours, theirs),
            None => assert!(has_odd_target(&bytes), "hyper refuses {}", bytes.escape_ascii()),
        }
    }

    #[test]
    fn hyper_reads_the_same_response(
        method in select(&["GET", "HEAD"][..]),
        line in select(&["HTTP/1.1 200 OK", "HTTP/1.1 404", "HTTP/1.1 204 ", "HTTP/1.1 304 X", "HTTP/1.0 200 OK"][..]),
        lines in lines(),
        (announcement, body) in body(),
        mutation in mutation(),
    ) {
        let mut bytes = format!("{line}\r\n{announcement}").into_bytes();
        bytes.extend([&lines[..], b"\r\n", &body].concat());
        let bytes = mutate(bytes, mutation);
        let Some(ours) = our_response(&bytes, Asked::by(method.as_bytes())) else {
            return Ok(());
        };
        match run(their_response(&bytes, method)) {
            Some(theirs) => compare(&bytes, &ours, theirs),
            None => panic!("hyper refuses {}", bytes.escape_ascii()),
        }
    }
}
