//! One request through the real binary and back, beside the same request without it: what a proxy
//! in between adds to a round trip on this machine. Throughput and processor time are measured in
//! `loadtest/`.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use criterion::{Criterion, criterion_group, criterion_main};

const REQUEST: &[u8] = b"GET /200 HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\n\r\n";

/// An origin that answers each request with 200 bytes.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut response = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n".to_vec();
    response.extend_from_slice(&[b'x'; 200]);
    let mut seen = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(n) => seen.extend_from_slice(&bytes[..n]),
        }
        if seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            if stream.write_all(&response).is_err() {
                return;
            }
        }
    }
}

/// A running tidegate; it ends with the value.
struct Proxy {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Proxy {
    fn start(origin: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("tidegate.toml");
        let ready = folder.path().join("ready.json");
        let text = format!(
            r#"
            [runtime]
            workers = 1
            [access_log]
            output = "off"
            [admin]
            address = "127.0.0.1:0"
            [listener.http]
            address = "127.0.0.1:0"
            [upstream.one]
            endpoints = ["{origin}"]
            [upstream.two]
            endpoints = ["{origin}"]
            [route.all]
            sticky = {{ keys = ["header:user-agent"] }}
            [route.all.split]
            stable = {{ upstream = "one", weight = 95 }}
            canary = {{ upstream = "two", weight = 5 }}
            "#
        );
        fs::write(&config, text).expect("it can be written");
        let child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args([Path::new("run"), Path::new("--config"), &config])
            .args([Path::new("--ready-file"), &ready])
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let address = loop {
            if let Ok(text) = fs::read_to_string(&ready) {
                let said: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
                let address = said["listeners"]["http"].as_str().expect("it listens");
                break address.parse().expect("it is an address");
            }
            thread::yield_now();
        };
        Self {
            child,
            address,
            _folder: folder,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It has nothing to save.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// One round trip on a connection that stays open.
fn round_trip(stream: &mut TcpStream, buffer: &mut [u8]) {
    stream.write_all(REQUEST).expect("the other side reads");
    let mut got = 0;
    loop {
        let n = stream.read(&mut buffer[got..]).expect("it answers");
        assert!(n > 0, "it closed");
        got += n;
        let head = buffer[..got]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        if head.is_some_and(|head| got >= head + 4 + 200) {
            return;
        }
    }
}

fn proxy(criterion: &mut Criterion) {
    let origin = origin();
    let proxy = Proxy::start(origin);
    let mut group = criterion.benchmark_group("round trip of a small request");
    for (name, address) in [("direct", origin), ("through tidegate", proxy.address)] {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("it is a TCP socket");
        let mut buffer = vec![0; 4096];
        group.bench_function(name, |bencher| {
            bencher.iter(|| round_trip(&mut stream, &mut buffer));
        });
    }
    group.finish();
}

criterion_group!(benches, proxy);
criterion_main!(benches);
