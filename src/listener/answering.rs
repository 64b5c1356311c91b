//! One stream of HTTP/2, from its request to the last byte of its answer.
//!
//! A client that does not take its answer must not hold what the stream holds of the upstream: the
//! next piece of a body is asked for when the client has taken the one before, and a client that
//! takes nothing for too long loses the stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Error, Reason, SendStream};
use http::Response;
use http_body::Body as _;
use pin_project_lite::pin_project;
use tracing::debug;

use crate::http1::Deadline;
use crate::listener::connect::Connect;
use crate::listener::date;
use crate::listener::tunnels::Tunnels;
use crate::message::Body;

/// The most that a body which is there as a whole claims of the client's window: one frame.
const SMALL: usize = 16 * 1024;

pin_project! {
    /// A stream. It is made where it stays, so that it is moved no more than it must be.
    #[project = Step]
    pub(crate) enum Answering<F> {
        /// There is none.
        Ended,
        /// Its answer is made.
        Waiting {
            #[pin]
            answer: F,
            respond: SendResponse<Bytes>,
            // That of a stream that may become a tunnel.
            connect: Option<Connect>,
        },
        /// Its answer's body is sent.
        Sending {
            sending: Sending,
        },
    }
}

/// A body on its way to the client.
pub(crate) struct Sending {
    body: Body,
    stream: SendStream<Bytes>,
    /// What the client has not taken, and whether it is the last.
    pending: Option<(Bytes, bool)>,
    /// Until when the client may take nothing. Most streams never wait for their client: no timer is
    /// made for them.
    deadline: Option<Deadline>,
    is_waiting: bool,
}

impl<F: Future<Output = Response<Body>>> Answering<F> {
    /// Moves the stream on; ready when it has ended. A client may take nothing for as long as
    /// `patience`.
    pub(crate) fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        tunnels: &Tunnels,
        patience: Duration,
    ) -> Poll<()> {
        if let Step::Waiting {
            answer,
            respond,
            connect,
        } = self.as_mut().project()
        {
            let Poll::Ready(response) = answer.poll(context) else {
                // Also the client may end it.
                return respond.poll_reset(context).map(|_| ());
            };
            match begin(response, respond, connect.as_ref(), tunnels) {
                Ok(Some(sending)) => self.set(Self::Sending { sending }),
                Ok(None) => self.set(Self::Ended),
                Err(error) => {
                    debug!(%error, "no answer");
                    respond.send_reset(Reason::INTERNAL_ERROR);
                    self.set(Self::Ended);
                }
            }
        }
        match self.project() {
            Step::Sending { sending } => sending.poll(context, patience),
            Step::Ended | Step::Waiting { .. } => Poll::Ready(()),
        }
    }
}

/// Sends a response's head, and gives what is to be sent of its body.
fn begin(
    response: Response<Body>,
    respond: &mut SendResponse<Bytes>,
    connect: Option<&Connect>,
    tunnels: &Tunnels,
) -> Result<Option<Sending>, Error> {
    let (mut head, body) = response.into_parts();
    date::add(&mut head.headers);
    let is_tunnel = matches!(body, Body::Tunnel(_)) && connect.is_some();
    let is_whole = body.is_end_stream() && !is_tunnel;
    let mut stream = respond.send_response(Response::from_parts(head, ()), is_whole)?;
    let (body, pending) = match body {
        Body::Tunnel(tunnel) => {
            if let Some(connect) = connect {
                connect.answered(stream);
                tunnels.run(tunnel);
            }
            return Ok(None);
        }
        _ if is_whole => return Ok(None),
        Body::Full(bytes) => (Body::Empty, Some((bytes, true))),
        body @ (Body::Empty | Body::Stream(_)) => (body, None),
    };
    if let Some((bytes, _)) = &pending {
        // It is small and here: what it claims of the client's window it uses at once.
        stream.reserve_capacity(bytes.len().min(SMALL));
    }
    Ok(Some(Sending {
        body,
        stream,
        pending,
        deadline: None,
        is_waiting: false,
    }))
}

impl Sending {
    fn poll(&mut self, context: &mut Context<'_>, patience: Duration) -> Poll<()> {
        loop {
            if let Some((data, is_last)) = self.pending.take() {
                if !data.is_empty() && self.stream.capacity() == 0 {
                    self.pending = Some((data, is_last));
                    if ready!(self.poll_room(context, patience)).is_err() {
                        return Poll::Ready(());
                    }
                    continue;
                }
                self.is_waiting = false;
                if self.stream.send_data(data, is_last).is_err() || is_last {
                    return Poll::Ready(());
                }
            }
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        // One byte, and not all: a stream that waits must not claim what the others
                        // could use. The library raises the claim to what it is given.
                        self.stream.reserve_capacity(1);
                        self.pending = Some((data, self.body.is_end_stream()));
                    }
                    Err(frame) => {
                        self.stream.reserve_capacity(0);
                        if let Ok(trailers) = frame.into_trailers() {
                            // It fails only for a stream that is no more.
                            let _sent = self.stream.send_trailers(trailers);
                        }
                        return Poll::Ready(());
                    }
                },
                Poll::Ready(Some(Err(error))) => {
                    debug!(%error, "an answer was cut");
                    self.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => {
                    let _sent = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    // It is not the client who is waited for; but it may end the stream.
                    return self.stream.poll_reset(context).map(|_| ());
                }
            }
        }
    }

    /// Waits until the client takes more; fails when the stream is no more, or for too long.
    fn poll_room(&mut self, context: &mut Context<'_>, patience: Duration) -> Poll<Result<(), ()>> {
        match self.stream.poll_capacity(context) {
            Poll::Ready(Some(Ok(_))) => Poll::Ready(Ok(())),
            Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Err(())),
            Poll::Pending => {
                let deadline = self.deadline.get_or_insert_default();
                if !self.is_waiting {
                    self.is_waiting = true;
                    deadline.set(patience);
                }
                deadline.poll(context).map(Err)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, pending, poll_fn, ready};
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll};
    use std::time::Duration;

    use bytes::Bytes;
    use h2::RecvStream;
    use http::{Request, Response};
    use http_body::Frame;
    use tokio::io::duplex;
    use tokio::task::LocalSet;
    use tokio::time::{Instant, sleep};

    use crate::listener::answering::Answering;
    use crate::listener::tunnels::Tunnels;
    use crate::message::{Body, BodyError};

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// What a client lets a stream send before it has taken any of it.
    const WINDOW: usize = 1000;

    fn pieces(n: usize) -> Response<Body> {
        Response::new(Body::Stream(Box::pin(Pieces(n))))
    }

    /// A body of pieces, each as large as the window.
    struct Pieces(usize);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.checked_sub(1).map(|left| {
                self.0 = left;
                Ok(Frame::data(Bytes::from(vec![0; WINDOW])))
            }))
        }
    }

    /// How long a stream lasts that is answered so to a client that takes the answer so.
    async fn lasted<T: Future<Output = ()>>(
        answer: impl Future<Output = Response<Body>>,
        take: impl FnOnce(RecvStream) -> T + 'static,
    ) -> Duration {
        let (near, far) = duplex(64 * 1024);
        let client = async {
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(u32::try_from(WINDOW).unwrap());
            let (mut sender, connection) = builder.handshake::<_, Bytes>(near).await.unwrap();
            tokio::task::spawn_local(connection);
            let request = Request::get("http://a.test/").body(()).unwrap();
            let (response, _) = sender.send_request(request, true).unwrap();
            if let Ok(response) = response.await {
                take(response.into_body()).await;
            }
            pending::<()>().await;
        };
        let server = async {
            let mut connection = h2::server::handshake(far).await.unwrap();
            let (_, respond) = connection.accept().await.unwrap().unwrap();
            tokio::task::spawn_local(async move { while connection.accept().await.is_some() {} });
            let start = Instant::now();
            let mut stream = pin!(Answering::Waiting {
                answer,
                respond,
                connect: None,
            });
            let tunnels = Tunnels::default();
            poll_fn(|context| stream.as_mut().poll(context, &tunnels, TIMEOUT)).await;
            start.elapsed()
        };
        let both = async {
            tokio::select! {
                () = client => unreachable!("it waits for ever"),
                elapsed = server => elapsed,
            }
        };
        LocalSet::new().run_until(both).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_client_is_dropped_in_time() {
        let elapsed = lasted(ready(pieces(3)), async |_| pending().await).await;
        assert_eq!(elapsed, TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_exchange_is_not() {
        let slow = async {
            sleep(10 * TIMEOUT).await;
            pieces(1)
        };
        let elapsed = lasted(slow, async |_| ()).await;
        assert_eq!(elapsed.as_secs(), 10 * TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_now_and_then_is_waited_for() {
        let take = async |mut body: RecvStream| {
            while let Some(Ok(data)) = body.data().await {
                sleep(TIMEOUT / 2).await;
                body.flow_control().release_capacity(data.len()).unwrap();
            }
        };
        let elapsed = lasted(ready(pieces(5)), take).await;
        assert!(elapsed > TIMEOUT * 3 / 2, "{elapsed:?}");
        assert!(elapsed < TIMEOUT * 5, "{elapsed:?}");
    }

    #[tokio::test]
    async fn what_the_client_has_room_for_needs_no_timer() {
        let full = Response::new(Body::Full(Bytes::from_static(b"all")));
        lasted(ready(full), async |_| ()).await;
    }
}
