//! Serving a connection that was accepted, from its first byte to its end.

use std::net::{self, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tracing::debug;

use crate::http1::Connection;
use crate::listener::crew::Arrival;
use crate::listener::drain::{Connections, Guard};
use crate::listener::preface::{self, Beginning};
use crate::listener::proxy_protocol::{self, Expected, Origin};
use crate::listener::wire::Wire;
use crate::listener::{Peer, Service, Settings, Spoken, connection, http2};
use crate::message::Scheme;
use crate::telemetry::stats::{ListenerShard, ListenerStats, Protocol, RejectReason};
use crate::tls::{HandshakeError, Identity, Stream};

/// Begins to serve a connection that came by a listening of this worker; or, without one, by that of
/// another worker for a listener that is given up meanwhile.
pub(crate) fn begin<V: Service>(
    arrival: Arrival,
    index: usize,
    service: &V,
    connections: &Rc<Connections>,
    listening: Option<u64>,
) {
    let Arrival {
        stream,
        address,
        local,
        listener,
        settings,
        stats,
        permit,
        seat,
    } = arrival;
    let local = local.unwrap_or_else(|| stream.local_addr().unwrap_or(address));
    let from = Rc::new(Peer {
        address,
        local,
        scheme: if settings.tls.is_some() {
            Scheme::Https
        } else {
            Scheme::Http
        },
        listener,
        identity: None,
    });
    let guard = connections.add(listening);
    let service = service.clone();
    // The task ends with its connection; the guard lets a drain reach it.
    tokio::task::spawn_local(async move {
        let handle = Rc::clone(guard.handle());
        let is_cut = {
            let guard = &guard;
            let work = pin!(serve(stream, from, service, settings, guard, &stats, index));
            handle.until_cut(work).await.is_none()
        };
        if is_cut {
            debug!("connection cut");
        }
        drop(guard);
        drop(permit);
        drop(seat);
    });
}

/// Serves a connection. What comes before its requests, and HTTP/2, is in boxes of its own: an idle
/// connection of HTTP/1 takes as much memory as the largest thing in here that has none.
async fn serve<V: Service>(
    socket: net::TcpStream,
    mut from: Rc<Peer>,
    service: V,
    settings: Arc<Settings>,
    guard: &Guard,
    stats: &ListenerStats,
    index: usize,
) {
    let shard = stats.shard(index);
    let is_trusted = || settings.trusted.trusts(from.address.ip().to_canonical());
    let stream = match (settings.proxy_protocol.of(is_trusted), &settings.tls) {
        (Expected::No, None) if settings.spoken != Spoken::Http2 => Stream::accepted(socket),
        (expected, _) => {
            match Box::pin(introduce(socket, expected, &mut from, &settings, shard)).await {
                Some(stream) => Ok(stream),
                None => return,
            }
        }
    };
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(error) => {
            debug!(peer = %from.address, %error, "connection lost");
            return;
        }
    };
    let beginning = match (stream.alpn(), settings.spoken) {
        (Some(b"h2"), _) | (None, Spoken::Http2) => Beginning::Http2(Vec::new()),
        (None, Spoken::Both) if settings.tls.is_none() => {
            preface::read(&mut stream, &settings, guard.handle()).await
        }
        // HTTP/2 over TLS is agreed on (RFC 9113, section 3.2).
        (Some(_) | None, _) => Beginning::Http1(Vec::new()),
    };
    match beginning {
        Beginning::Http1(begun) => {
            let _open = Open::new(shard, Protocol::H1);
            let mut connection = Connection::with(stream, begun);
            let handle = guard.handle();
            connection::serve(&mut connection, &from, &service, settings, handle, shard).await;
        }
        Beginning::Http2(begun) => {
            let _open = Open::new(shard, Protocol::H2);
            let wire = Wire::new(begun, stream);
            let serving = http2::serve(wire, &from, &service, settings, guard.handle(), shard);
            Box::pin(serving).await;
        }
        Beginning::TooSlow => {
            connection::time_out(&mut Connection::new(stream), &from, &service).await;
        }
        Beginning::Silence => shard.connection_rejected(RejectReason::Timeout),
        Beginning::Nothing => {}
    }
}

/// Hears who the client is: from a balancer before it, and by TLS. None is one that is refused.
async fn introduce(
    socket: net::TcpStream,
    expected: Expected,
    from: &mut Rc<Peer>,
    settings: &Settings,
    shard: &ListenerShard,
) -> Option<Stream> {
    let lost = |peer: SocketAddr| move |error| debug!(%peer, %error, "connection lost");
    let mut tcp = TcpStream::from_std(socket)
        .map_err(lost(from.address))
        .ok()?;
    match expected {
        Expected::No => {}
        Expected::Refused => {
            debug!(peer = %from.address, "no trusted proxy");
            shard.connection_rejected(RejectReason::ProxyProtocol);
            return None;
        }
        Expected::Yes => match proxy_protocol::read(&mut tcp).await {
            Ok(Origin::Peer) => {}
            Ok(Origin::Client { from: address, to }) => {
                *from = Rc::new(Peer {
                    address,
                    local: to,
                    ..Peer::clone(from)
                });
            }
            Err(error) => {
                debug!(peer = %from.address, %error, "connection refused");
                shard.connection_rejected(RejectReason::ProxyProtocol);
                return None;
            }
        },
    }
    let Some(tls) = &settings.tls else {
        return match settings.spoken {
            Spoken::Http2 => Some(Stream::Plain(tcp)),
            _ => Stream::plain(tcp).map_err(lost(from.address)).ok(),
        };
    };
    match Stream::handshake(tcp, tls, settings.timeouts.tls).await {
        Ok(stream) => {
            if let Some(handshake) = stream.agreed() {
                debug!(peer = %from.address, ?handshake, "TLS handshake");
                shard.handshake(handshake);
            }
            if let Some(certificate) = stream.peer_certificate() {
                *from = Rc::new(Peer {
                    identity: Some(Box::new(Identity::of(certificate))),
                    ..Peer::clone(from)
                });
            }
            Some(stream)
        }
        Err(error) => {
            debug!(peer = %from.address, %error, "no TLS handshake");
            shard.connection_rejected(match error {
                HandshakeError::TooSlow => RejectReason::Timeout,
                HandshakeError::Failed(_) => RejectReason::Tls,
            });
            None
        }
    }
}

/// Counts a connection as open, also when it is cut.
struct Open<'a> {
    shard: &'a ListenerShard,
    protocol: Protocol,
}

impl<'a> Open<'a> {
    fn new(shard: &'a ListenerShard, protocol: Protocol) -> Self {
        shard.connection_opened(protocol);
        Self { shard, protocol }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.shard.connection_closed(self.protocol);
    }
}
