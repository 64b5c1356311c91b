//! What it costs to find and read a head, as a connection does it for every message.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate::http1::codec::{
    Asked, ChunkStep, ChunkedReader, HeadScanner, read_request, read_response,
};
use tidegate::listener::{ForwardedSource, Peer};
use tidegate::message::{Limits, RequestHead, ResponseHead, Scheme, Version};
use tidegate::proxy::{
    FieldEdits, RequestEdit, ResponseEdit, Rewritten, write_request, write_response,
};

/// A load generator's request of 151 bytes.
const SMALL: &[u8] = b"GET /api/v1/items?page=2 HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: bench/1.0\r\n\
    Accept: application/json\r\n\
    X-Request-Id: 0123456789abcdef01\r\n\r\n";

/// A browser's request of about 750 bytes.
const BROWSER: &[u8] = b"GET /products/42?ref=home HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Dest: document\r\n\
    Referer: https://shop.example.com/products\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; consent=all; theme=dark\r\n\r\n";

/// A small service's response of about 150 bytes.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: origin\r\n\
    Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 128\r\n\
    Cache-Control: no-store\r\n\r\n";

fn read(bytes: &[u8], limits: &Limits, head: &mut RequestHead) {
    let mut scanner = HeadScanner::default();
    let length = scanner.scan(black_box(bytes), limits);
    let length = length.expect("it is valid").expect("it is whole");
    read_request(&bytes[..length], limits, head).expect("it is valid");
}

/// A head read and written as it goes to an upstream, then its response's as it goes to the client.
fn rewrites(criterion: &mut Criterion) {
    let limits = Limits::default();
    let from = Peer {
        address: ([192, 0, 2, 7], 40_000).into(),
        local: ([192, 0, 2, 1], 8080).into(),
        scheme: Scheme::Http,
        listener: "http".into(),
        identity: None,
    };
    let edit = RequestEdit {
        flags: &[],
        from: &from,
        trusted: false,
        source: ForwardedSource::XForwardedFor,
        upgrade: None,
        drop_cookies: &[],
        drop_field: None,
        request_id: Some((b"x-request-id", b"0123456789abcdef0123456789abcdef")),
        fields: None,
        rewrite: Rewritten::default(),
    };
    let mut head = RequestHead::default();
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("rewrite");
    for (name, text) in [("request small", SMALL), ("request browser", BROWSER)] {
        read(text, &limits, &mut head);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                write_request(&mut out, black_box(&head), &edit);
            });
        });
    }
    // Two of each kind: go, take the place of what came, come besides.
    let fields = FieldEdits::new(
        &["x-secret", "accept-language"],
        &[("x-set", "one"), ("x-request-source", "edge")],
        &[("x-added", "two"), ("x-also-added", "three")],
    );
    let edited = RequestEdit {
        fields: Some(&fields),
        ..edit
    };
    for (name, text) in [
        ("request small edited", SMALL),
        ("request browser edited", BROWSER),
    ] {
        read(text, &limits, &mut head);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                write_request(&mut out, black_box(&head), &edited);
            });
        });
    }
    let mut response = ResponseHead::default();
    read_response(RESPONSE, &limits, Asked::Other, &mut response).expect("it is valid");
    let edit = ResponseEdit {
        version: Version::Http11,
        close: false,
        framing: response.framing,
        set_cookie: None,
        fields: None,
    };
    group.bench_function("response", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_response(&mut out, black_box(&response), &edit);
        });
    });
    let edited = ResponseEdit {
        fields: Some(&fields),
        ..edit
    };
    group.bench_function("response edited", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_response(&mut out, black_box(&response), &edited);
        });
    });
    group.finish();
}

fn heads(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    let mut group = criterion.benchmark_group("head");
    group.bench_function("request small", |bencher| {
        bencher.iter(|| read(SMALL, &limits, &mut head));
    });
    group.bench_function("request browser", |bencher| {
        bencher.iter(|| read(BROWSER, &limits, &mut head));
    });
    group.bench_function("scan small", |bencher| {
        bencher.iter(|| HeadScanner::default().scan(black_box(SMALL), &limits));
    });
    group.bench_function("scan browser byte by byte", |bencher| {
        bencher.iter(|| {
            let mut scanner = HeadScanner::default();
            (0..=BROWSER.len()).find_map(|end| {
                let found = scanner.scan(black_box(&BROWSER[..end]), &limits);
                found.expect("it is valid")
            })
        });
    });
    let mut response = ResponseHead::default();
    group.bench_function("response small", |bencher| {
        bencher.iter(|| {
            let mut scanner = HeadScanner::default();
            let length = scanner.scan(black_box(RESPONSE), &limits);
            let length = length.expect("it is valid").expect("it is whole");
            let bytes = &RESPONSE[..length];
            read_response(bytes, &limits, Asked::Other, &mut response).expect("it is valid");
        });
    });
    group.finish();
}

fn chunks(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut body = Vec::new();
    for _ in 0..64 {
        body.extend_from_slice(b"400\r\n");
        body.resize(body.len() + 1024, b'x');
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    criterion.bench_function("chunked 64 x 1 KiB", |bencher| {
        bencher.iter(|| {
            let mut reader = ChunkedReader::new(&limits);
            let mut rest = black_box(&body[..]);
            let mut n_bytes = 0;
            loop {
                let (consumed, step) = reader.step(rest).expect("it is valid");
                match step {
                    ChunkStep::Data(range) => n_bytes += range.len(),
                    ChunkStep::More | ChunkStep::End => return n_bytes,
                }
                rest = &rest[consumed..];
            }
        });
    });
}

criterion_group!(benches, heads, rewrites, chunks);
criterion_main!(benches);
