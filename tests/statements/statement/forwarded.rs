//! Whatever bytes a client sends: what is forwarded of them as one request is exactly one request,
//! with the same method, target and body, to whoever reads it, and so is what it was made of.
//!
//! The bytes go the way that they go in the proxy: the strict reader, the head as it is written for
//! an upstream, and the pump that frames the body anew, over sockets that give and take few bytes at
//! once. Who reads it then is [`Habits`]: independent, for it shares neither a line nor a library with
//! the codec, which leans on httparse, as hyper does. The first byte of the input says what the route
//! and the listener do to the head.

mod reader;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use tidegate::http1::codec::{HeadScanner, read_request};
use tidegate::http1::{Connection, Incoming, Outgoing, Pump, Sink, Wire};
use tidegate::listener::{ForwardedSource, Peer};
use tidegate::message::{Framing, Limits, RequestHead, Scheme};
use tidegate::proxy::{FieldEdits, RequestEdit, Rewritten, write_request};
use tidegate::route::{Match, MatchSpec, PathRewrite, PathSpec, RewriteSpec};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::statement::forwarded::reader::{Habits, Reading};

/// Limits that inputs of the size that a fuzzer makes can run into.
const LIMITS: Limits = Limits {
    head_bytes: 2048,
    fields: 24,
    uri_bytes: 512,
    body_bytes: None,
};

/// Bytes that a socket gives or takes at once.
const STEPS: [usize; 3] = [usize::MAX, 5, 1];

/// What a head depends on besides the bytes: bits of the first byte.
struct Choices(u8);

impl Choices {
    fn trusts(&self) -> bool {
        self.0 & 1 != 0
    }

    fn source(&self) -> ForwardedSource {
        match self.0 & 2 {
            0 => ForwardedSource::XForwardedFor,
            _ => ForwardedSource::Forwarded,
        }
    }

    fn drops_fields(&self) -> bool {
        self.0 & 4 != 0
    }

    fn edits(&self) -> Option<&'static FieldEdits> {
        static EDITS: LazyLock<FieldEdits> = LazyLock::new(|| {
            FieldEdits::new(&["x-a", "x-sum"], &[("x-b", "set")], &[("x-c", "added")])
        });
        (self.0 & 8 != 0).then_some(&*EDITS)
    }

    fn rewrites(&self) -> bool {
        self.0 & 16 != 0
    }

    fn names_requests(&self) -> bool {
        self.0 & 32 != 0
    }
}

pub(in crate::statement) fn holds(input: &[u8]) {
    let Some((&choices, input)) = input.split_first() else {
        return;
    };
    let choices = Choices(choices);
    let Ok(Some(length)) = HeadScanner::default().scan(input, &LIMITS) else {
        return;
    };
    let mut head = RequestHead::default();
    if read_request(&input[..length], &LIMITS, &mut head).is_err() {
        return;
    }
    // What is answered here, whatever else it says.
    if matches!(head.method(), b"CONNECT" | b"TRACE") || head.path() == b"*" {
        return;
    }
    let Some(written) = written(&head, &choices) else {
        return;
    };
    let (came, unread) = input.split_at(length);
    for step in STEPS {
        let forwarded = forward(&head, &written, unread, step);
        let came = &input[..came.len() + forwarded.used];
        judge(came, &forwarded, &choices);
    }
}

/// Reads what came of a request and what was forwarded of it.
fn judge(came: &[u8], forwarded: &Forwarded, choices: &Choices) {
    if !forwarded.whole {
        // It never looks whole, whoever reads it and however it was cut.
        for habits in Habits::ALL {
            let reading = habits.one(&forwarded.bytes);
            assert!(reading.is_none(), "{habits:?} read a cut request");
        }
        return;
    }
    let sent = Habits::STRICT
        .one(came)
        .unwrap_or_else(|| panic!("not one request: {}", came.escape_ascii()));
    let mut target = origin_form(&sent.target);
    if choices.rewrites() {
        let query = target.iter().position(|&byte| byte == b'?');
        let query = target.split_off(query.unwrap_or(target.len()));
        target = rewritten(&target).expect("it was written");
        target.extend(query);
    }
    let expected = Reading {
        target,
        ..sent.clone()
    };
    for habits in Habits::ALL {
        assert_eq!(habits.one(came).as_ref(), Some(&sent), "{habits:?} in");
        let out = habits.one(&forwarded.bytes);
        assert_eq!(out.as_ref(), Some(&expected), "{habits:?} out");
    }
}

/// The head as it goes to an upstream; `None` where the path would lead out of its rewrite.
fn written(head: &RequestHead, choices: &Choices) -> Option<Vec<u8>> {
    let path;
    let rewrite = if choices.rewrites() {
        path = rewritten(head.path())?;
        Rewritten {
            path: Some(&path),
            host: Some(b"up.test:80"),
            prefix: Some(b"/pre"),
        }
    } else {
        Rewritten::default()
    };
    let from = Peer {
        address: SocketAddr::from(([192, 0, 2, 7], 40_000)),
        local: SocketAddr::from(([192, 0, 2, 1], 8080)),
        scheme: Scheme::Http,
        listener: "http".into(),
        identity: None,
    };
    let edit = RequestEdit {
        flags: &[],
        from: &from,
        trusted: choices.trusts(),
        source: choices.source(),
        upgrade: None,
        drop_cookies: &match choices.drops_fields() {
            true => vec!["a".to_owned()],
            false => Vec::new(),
        },
        drop_field: choices.drops_fields().then_some(b"x-variant"),
        request_id: choices
            .names_requests()
            .then_some((b"x-request-id", b"made")),
        fields: choices.edits(),
        rewrite,
    };
    let mut out = Vec::new();
    write_request(&mut out, head, &edit);
    Some(out)
}

/// What an upstream got.
struct Forwarded {
    bytes: Vec<u8>,
    /// True when the whole request arrived.
    whole: bool,
    /// How many bytes behind the head were the request's.
    used: usize,
}

/// Carries a request to an upstream as an exchange does.
fn forward(head: &RequestHead, written: &[u8], unread: &[u8], step: usize) -> Forwarded {
    let incoming = Incoming::new(head.framing, &LIMITS);
    let outgoing = match head.framing {
        Framing::Chunked => Outgoing::Chunked,
        Framing::None | Framing::Length(_) | Framing::UntilClose => Outgoing::Raw,
    };
    let mut pump = Pump::new(incoming, outgoing, None);
    // What came in one piece with the head, and what comes later.
    let (inbox, rest) = unread.split_at(unread.len().min(step));
    let client = Client { rest, step };
    let mut client = Connection::with(client, inbox.to_vec());
    let mut upstream = Upstream {
        bytes: Vec::new(),
        step,
        takes: true,
    };
    let mut context = Context::from_waker(Waker::noop());
    let started = pump.start(&mut context, written, client.inbox(), &mut upstream);
    let outcome = started.and_then(|used| {
        client.consume(used);
        loop {
            // Nobody wakes anybody: whoever waited has what it waited for by now.
            if let Poll::Ready(outcome) = pump.poll(&mut context, &mut client, &mut upstream) {
                return outcome;
            }
        }
    });
    Forwarded {
        used: unread.len() - client.stream.rest.len() - client.inbox().len(),
        bytes: upstream.bytes,
        whole: outcome.is_ok(),
    }
}

/// The target in origin form, as a server is asked (RFC 9112, section 3.2.1).
fn origin_form(target: &[u8]) -> Vec<u8> {
    if target.starts_with(b"/") {
        return target.to_vec();
    }
    let scheme = target.windows(3).position(|three| three == b"://");
    let behind = scheme.map_or(target, |at| &target[at + 3..]);
    let authority = behind.iter().position(|byte| b"/?".contains(byte));
    match authority.map(|at| &behind[at..]) {
        None => b"/".to_vec(),
        Some(query) if query.starts_with(b"?") => [b"/", query].concat(),
        Some(path) => path.to_vec(),
    }
}

/// What a route makes of a path, as far as it leads anywhere.
fn rewritten(path: &[u8]) -> Option<Vec<u8>> {
    static REWRITE: LazyLock<PathRewrite> = LazyLock::new(|| {
        let spec = MatchSpec {
            path: Some(PathSpec::Prefix("/".to_owned())),
            ..MatchSpec::default()
        };
        let rule = Match::new(spec).expect("any path");
        PathRewrite::new(RewriteSpec::Prefix("/new".to_owned()), &rule).expect("a prefix")
    });
    let mut out = Vec::new();
    REWRITE.apply(path, &mut out).ok()?;
    Some(out)
}

/// The client's socket.
struct Client<'a> {
    rest: &'a [u8],
    step: usize,
}

impl AsyncRead for Client<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let n = self.rest.len().min(self.step).min(into.remaining());
        let (taken, rest) = self.rest.split_at(n);
        into.put_slice(taken);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

impl Wire for Client<'_> {
    fn source(&mut self) -> Option<&TcpStream> {
        None
    }

    fn sink(&self) -> Option<Sink<'_>> {
        None
    }
}

/// The upstream's socket, which is full every other time.
struct Upstream {
    bytes: Vec<u8>,
    step: usize,
    takes: bool,
}

impl AsyncWrite for Upstream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.takes = !self.takes;
        if self.takes {
            return Poll::Pending;
        }
        let n = bytes.len().min(self.step);
        self.bytes.extend_from_slice(&bytes[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Wire for Upstream {
    fn source(&mut self) -> Option<&TcpStream> {
        None
    }

    fn sink(&self) -> Option<Sink<'_>> {
        None
    }
}
