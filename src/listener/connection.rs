//! One client's HTTP/1 connection, from its first byte to its end.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::http1::codec::{HeadError, read_request};
use crate::http1::{Connection, Deadline, ReadError, Scratch};
use crate::listener::drain::Handle;
use crate::listener::{After, LINGER, LINGER_BYTES, Peer, Refusal, Service, Settings};
use crate::telemetry::stats::{ListenerShard, RejectReason};
use crate::tls::Stream;

/// What comes next on a connection.
enum Next {
    Request(Box<Scratch>),
    Refused(HeadError),
    TimedOut,
    /// Not a byte of it came in time.
    Silence,
    End,
}

/// Serves the requests of a connection, one after the other.
pub(crate) async fn serve<V: Service>(
    connection: &mut Connection<Stream>,
    from: &Rc<Peer>,
    service: &V,
    mut settings: Arc<Settings>,
    handle: &Rc<Handle>,
    shard: &ListenerShard,
) {
    let mut has_asked = false;
    let mut generation = service.generation();
    let mut deadline = Deadline::new();
    deadline.set(settings.timeouts.first_byte);
    loop {
        let next = next(connection, &mut deadline, &settings, handle).await;
        let scratch = match next {
            Next::Request(scratch) => scratch,
            Next::Refused(error) => {
                let answer = service.refuse(&Refusal::Head(error), from);
                answer_and_close(connection, &answer).await;
                return;
            }
            Next::TimedOut => {
                time_out(connection, from, service).await;
                return;
            }
            Next::Silence => {
                if !has_asked {
                    shard.connection_rejected(RejectReason::Timeout);
                }
                return;
            }
            Next::End => return,
        };
        has_asked = true;
        if generation != service.generation() {
            generation = service.generation();
            if let Some(current) = service.settings(&settings.name) {
                settings = current;
            }
        }
        let after = service
            .http1(connection, &mut deadline, scratch, from, &settings, &|| {
                handle.is_closing() || settings.overload.refuses()
            })
            .await;
        match after {
            After::KeepAlive => deadline.set(settings.timeouts.idle),
            After::Close => {
                // Nobody is owed more; a client that is gone already is no error.
                let _gone = timeout(LINGER, connection.stream.shutdown()).await;
                return;
            }
            After::Linger => {
                linger(connection).await;
                return;
            }
            After::Reset => {
                connection.stream.abort();
                return;
            }
        }
    }
}

/// Waits for the next request's head.
async fn next(
    connection: &mut Connection<Stream>,
    deadline: &mut Deadline,
    settings: &Settings,
    handle: &Rc<Handle>,
) -> Next {
    let mut began = false;
    poll_fn(|context| {
        let limits = &settings.limits;
        let head = connection.poll_head(context, limits, |_, head, _| {
            let mut scratch = Scratch::take();
            read_request(head, limits, &mut scratch.request)?;
            Ok((scratch, 0))
        });
        match head {
            Poll::Ready(Ok(Some(scratch))) => return Poll::Ready(Next::Request(scratch)),
            Poll::Ready(Err(ReadError::Head(error))) => return Poll::Ready(Next::Refused(error)),
            Poll::Ready(Ok(None) | Err(ReadError::Cut | ReadError::Io(_))) => {
                return Poll::Ready(Next::End);
            }
            Poll::Pending => {}
        }
        if connection.inbox().is_empty() {
            if handle.closes_idle() {
                return Poll::Ready(Next::End);
            }
        } else if !began {
            began = true;
            deadline.set(settings.timeouts.header);
        }
        match deadline.poll(context) {
            Poll::Ready(()) if began => Poll::Ready(Next::TimedOut),
            Poll::Ready(()) => Poll::Ready(Next::Silence),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Ends a connection whose request did not come in time.
pub(crate) async fn time_out<V: Service>(
    connection: &mut Connection<Stream>,
    from: &Peer,
    service: &V,
) {
    let answer = service.refuse(&Refusal::Timeout, from);
    answer_and_close(connection, &answer).await;
}

async fn answer_and_close(connection: &mut Connection<Stream>, answer: &[u8]) {
    let written = timeout(LINGER, connection.write_all(answer)).await;
    if matches!(written, Ok(Ok(()))) {
        linger(connection).await;
    }
}

/// Ends the sending side, and lets the client finish what it is sending.
async fn linger(connection: &mut Connection<Stream>) {
    let end = async {
        if connection.stream.shutdown().await.is_ok() {
            connection.discard(LINGER_BYTES).await;
        }
    };
    let _enough = timeout(LINGER, end).await;
}
