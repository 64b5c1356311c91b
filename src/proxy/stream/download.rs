//! A response's body on its way from one HTTP/2 stream to another, and what is left of the
//! request's body on its way back.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::SendStream;
use http_body::{Body as _, Frame, SizeHint};
use tokio_util::task::AbortOnDropHandle;

use crate::http1::{Deadline, PumpError};
use crate::listener::ClientBody;
use crate::message::BodyError;
use crate::proxy::Error;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc;
use crate::proxy::stream::coming::Coming;
use crate::proxy::stream::{Part, Upload};
use crate::proxy::trouble::Trouble;
use crate::upstream::{StreamLease, Timeouts};

/// What is left of a request's body once its response has begun.
///
/// It goes on in a task of its own: a client that takes nothing of its response for a while, as in
/// a conversation both ways, must not be kept from sending.
#[derive(Debug)]
pub(crate) struct Background {
    progress: Rc<Progress>,
    _task: AbortOnDropHandle<()>,
}

/// How far it has come.
#[derive(Debug, Default)]
struct Progress {
    body_bytes: Cell<u64>,
    /// A number that grows with each step forward.
    steps: Cell<u64>,
    trouble: RefCell<Option<Trouble>>,
    /// Who is told of trouble.
    response: RefCell<Option<Waker>>,
}

impl Background {
    /// Begins to send it.
    pub(crate) fn begin(
        mut upload: Upload,
        mut sending: SendStream<Bytes>,
        mut incoming: ClientBody,
    ) -> Self {
        let progress = Rc::new(Progress::default());
        progress.body_bytes.set(upload.body_bytes());
        let told = Rc::clone(&progress);
        let task = tokio::task::spawn_local(async move {
            let sent = poll_fn(|context| {
                let sent = upload.poll(context, &mut sending, |context| {
                    poll_part(context, Some(&mut incoming))
                });
                told.body_bytes.set(upload.body_bytes());
                told.steps.set(upload.progress());
                sent
            });
            // The response counts, whatever became of the request.
            if let Err(trouble) = sent.await
                && trouble.is_the_clients()
            {
                *told.trouble.borrow_mut() = Some(trouble);
                if let Some(response) = told.response.borrow_mut().take() {
                    response.wake();
                }
            }
        });
        Self {
            progress,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

/// Reads the next piece of a request's body from its stream.
pub(crate) fn poll_part(
    context: &mut Context<'_>,
    incoming: Option<&mut ClientBody>,
) -> Poll<Result<Part, Trouble>> {
    let Some(incoming) = incoming else {
        return Poll::Ready(Ok(Part::End(None)));
    };
    let cut = |error| Trouble::Upload(PumpError::Read(std::io::Error::other(error)));
    let frame = match ready!(Pin::new(&mut *incoming).poll_frame(context)) {
        None => return Poll::Ready(Ok(Part::End(None))),
        Some(frame) => frame.map_err(cut)?,
    };
    Poll::Ready(Ok(match frame.into_data() {
        Ok(data) => Part::Data(data, incoming.is_end_stream()),
        Err(frame) => Part::End(frame.into_trailers().ok()),
    }))
}

/// A response's body. It ends the exchange.
pub(crate) struct Download {
    exchange: Box<Exchange>,
    /// `None` once it has ended.
    response: Option<Coming>,
    request: Option<Background>,
    timeouts: Timeouts,
    deadline: Deadline,
    seen: u64,
    /// Ends after the handles of its stream.
    lease: Option<StreamLease>,
}

impl Download {
    pub(crate) fn new(
        exchange: Box<Exchange>,
        response: Coming,
        request: Option<Background>,
        timeouts: Timeouts,
        mut deadline: Deadline,
        lease: StreamLease,
    ) -> Self {
        deadline.set(timeouts.body);
        Self {
            exchange,
            response: Some(response),
            request,
            timeouts,
            deadline,
            seen: 0,
            lease: Some(lease),
        }
    }

    /// Lets go of the stream: what is not through by now is reset.
    fn let_go(&mut self) {
        if let Some(request) = self.request.take() {
            self.exchange.request_bytes = request.progress.body_bytes.get();
        }
        if let Some(response) = self.response.take() {
            self.exchange.response_bytes = response.body_bytes();
        }
        self.lease = None;
    }

    fn finish(&mut self) {
        self.let_go();
        self.exchange.completed();
    }

    fn fail(&mut self, error: Error) -> BodyError {
        self.let_go();
        let shown = BodyError(error.detail().into());
        self.exchange.failed(error);
        shown
    }

    /// What went wrong with the request's body, if it is the client's doing.
    fn trouble(&self, context: &Context<'_>) -> Option<Trouble> {
        let progress = &self.request.as_ref()?.progress;
        let trouble = progress.trouble.borrow_mut().take();
        if trouble.is_none() {
            *progress.response.borrow_mut() = Some(context.waker().clone());
        }
        trouble
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // Dropped halfway, it notes how far it came.
        self.let_go();
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(trouble) = this.trouble(context) {
            let error = this.fail(trouble.into_error());
            return Poll::Ready(Some(Err(error)));
        }
        let Some(response) = &mut this.response else {
            return Poll::Ready(None);
        };
        match response.poll_part(context) {
            Poll::Ready(Ok(Part::Data(data, is_last))) => {
                if is_last {
                    this.finish();
                } else {
                    this.deadline.set(this.timeouts.body);
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Ok(Part::End(trailers))) => {
                this.exchange
                    .heard_grpc(|_| trailers.as_ref().and_then(grpc::in_trailers));
                this.finish();
                Poll::Ready(trailers.map(|map| Ok(Frame::trailers(map))))
            }
            Poll::Ready(Err(error)) => {
                let error = this.fail(Trouble::Download(error).into_error());
                Poll::Ready(Some(Err(error)))
            }
            Poll::Pending => {
                let sent = this.request.as_ref();
                let sent = sent.map_or(0, |request| request.progress.steps.get());
                if sent != this.seen {
                    this.seen = sent;
                    this.deadline.set(this.timeouts.body);
                }
                if this.deadline.poll(context).is_ready() {
                    if let Some(lease) = &this.lease {
                        lease.timed_out();
                    }
                    let error = this.fail(Error::Truncated(None));
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.response.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.response.as_ref().and_then(Coming::left);
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
