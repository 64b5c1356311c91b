//! Requests that are made again: a mutation with an `Idempotency-Key` is carried out once
//! (draft-ietf-httpapi-idempotency-key-header), and its answer is given again for a day.
//!
//! What is remembered is bounded, and ends with the process.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::admin::actor::Actor;
use crate::admin::fault::{Code, Fault};

/// The field.
const FIELD: &str = "idempotency-key";
/// The longest key.
const MAX_KEY: usize = 255;
/// How long an answer is remembered: whoever retries does so within a day.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// The most answers that are remembered; the oldest are forgotten first.
const MAX_ANSWERS: usize = 1024;
/// The most bytes of all bodies that are remembered.
const MAX_BYTES: usize = 16 << 20;

/// A key, which is that of one actor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::admin::mutation) struct Key {
    actor: String,
    text: String,
}

impl Key {
    /// Reads that of a request, if it has one: with quotes, as the draft has it, or without, as many
    /// clients do.
    ///
    /// # Errors
    /// When there are several, or it is not of 1 to 255 visible characters.
    pub(in crate::admin::mutation) fn of(
        headers: &HeaderMap,
        actor: &Actor,
    ) -> Result<Option<Self>, Fault> {
        let mut fields = headers.get_all(FIELD).into_iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return match headers.contains_key(FIELD) {
                true => Err(malformed()),
                false => Ok(None),
            };
        };
        let text = field.to_str().map_err(|_| malformed())?.trim();
        let bare = text
            .strip_prefix('"')
            .map_or(Some(text), |text| text.strip_suffix('"'))
            .ok_or_else(malformed)?;
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if !(1..=MAX_KEY).contains(&bare.len()) || !bare.bytes().all(is_plain) {
            return Err(malformed());
        }
        Ok(Some(Self {
            actor: actor.to_string(),
            text: bare.to_owned(),
        }))
    }
}

fn malformed() -> Fault {
    let why = format!("Idempotency-Key is not one text of 1 to {MAX_KEY} visible characters");
    Fault::new(Code::IdempotencyKeyMalformed, why)
}

/// An answer as it was given.
#[derive(Clone, Debug)]
pub(in crate::admin::mutation) struct Recorded {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Recorded {
    /// Records an answer.
    pub(in crate::admin::mutation) fn new(head: Parts, body: Bytes) -> Self {
        Self {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// True when the same request is to be told the same again. What says "not now" is not: nothing
    /// was done, and the next attempt may fare better.
    pub(in crate::admin::mutation) fn is_lasting(&self) -> bool {
        let not_now = [StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED];
        !self.status.is_server_error() && !not_now.contains(&self.status)
    }
}

impl IntoResponse for Recorded {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// What is to be done with a request.
#[derive(Debug)]
pub(in crate::admin::mutation) enum Begun {
    /// It is new: carry it out, and tell by this number what came of it.
    New(u64),
    /// It was answered.
    Answered(Recorded),
    /// It is being carried out.
    UnderWay,
    /// The key is that of another request.
    Other,
    /// There is no room for one more.
    Full,
}

/// The requests with a key, from the oldest on, and their answers.
#[derive(Debug, Default)]
pub(in crate::admin::mutation) struct Answers {
    entries: VecDeque<Entry>,
    /// Bytes of all bodies.
    bytes: usize,
    n_begun: u64,
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    key: Key,
    fingerprint: [u8; 32],
    /// The answer and when it was given; nothing while it is under way.
    answer: Option<(Recorded, Instant)>,
}

impl Answers {
    /// Begins a request.
    pub(in crate::admin::mutation) fn begin(
        &mut self,
        key: Key,
        fingerprint: [u8; 32],
        now: Instant,
    ) -> Begun {
        self.forget_old(now);
        if let Some(entry) = self.entries.iter().find(|entry| entry.key == key) {
            if entry.fingerprint != fingerprint {
                return Begun::Other;
            }
            return match &entry.answer {
                Some((recorded, _)) => Begun::Answered(recorded.clone()),
                None => Begun::UnderWay,
            };
        }
        if self.entries.len() >= MAX_ANSWERS && !self.forget_oldest() {
            return Begun::Full;
        }
        self.n_begun += 1;
        self.entries.push_back(Entry {
            ticket: self.n_begun,
            key,
            fingerprint,
            answer: None,
        });
        Begun::New(self.n_begun)
    }

    /// Remembers the answer of a request.
    pub(in crate::admin::mutation) fn answer(
        &mut self,
        ticket: u64,
        recorded: Recorded,
        now: Instant,
    ) {
        let mut entries = self.entries.iter_mut();
        if let Some(entry) = entries.find(|entry| entry.ticket == ticket) {
            self.bytes += recorded.body.len();
            entry.answer = Some((recorded, now));
        }
        while self.bytes > MAX_BYTES && self.forget_oldest() {}
    }

    /// Forgets a request, so that it may be made again.
    pub(in crate::admin::mutation) fn forget(&mut self, ticket: u64) {
        let n = self.entries.iter().position(|entry| entry.ticket == ticket);
        if let Some(n) = n {
            self.remove(n);
        }
    }

    fn forget_old(&mut self, now: Instant) {
        let is_old = |entry: &Entry| {
            let answered = entry.answer.as_ref().map(|(_, at)| *at);
            answered.is_some_and(|at| now.duration_since(at) >= REMEMBERED)
        };
        while let Some(n) = self.entries.iter().position(is_old) {
            self.remove(n);
        }
    }

    /// Forgets the oldest that is answered; false when there is none.
    fn forget_oldest(&mut self) -> bool {
        let n = self.entries.iter().position(|entry| entry.answer.is_some());
        n.is_some_and(|n| {
            self.remove(n);
            true
        })
    }

    fn remove(&mut self, n: usize) {
        let removed = self.entries.remove(n);
        let answer = removed.and_then(|entry| entry.answer);
        self.bytes -= answer.map_or(0, |(recorded, _)| recorded.body.len());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{HeaderMap, Response, StatusCode};
    use tokio::time::Instant;

    use crate::admin::actor::Actor;
    use crate::admin::fault::Code;
    use crate::admin::mutation::replay::{
        Answers, Begun, FIELD, Key, MAX_ANSWERS, MAX_BYTES, REMEMBERED, Recorded,
    };

    fn key(text: &str) -> Key {
        read(&[text]).unwrap().unwrap()
    }

    fn read(fields: &[&str]) -> Result<Option<Key>, Code> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(FIELD, field.parse().unwrap());
        }
        Key::of(&headers, &Actor::local()).map_err(|fault| fault.code())
    }

    fn recorded(status: StatusCode, body: &'static [u8]) -> Recorded {
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = status;
        Recorded::new(head, Bytes::from_static(body))
    }

    /// What becomes of a request, in a word.
    fn begin(answers: &mut Answers, text: &str, fingerprint: u8, now: Instant) -> String {
        match answers.begin(key(text), [fingerprint; 32], now) {
            Begun::New(ticket) => format!("new {ticket}"),
            Begun::Answered(recorded) => String::from_utf8(recorded.body.to_vec()).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_carried_out_once_and_its_answer_given_for_a_day() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        assert_eq!(begin(&mut answers, "a", 1, now), "new 1");
        assert_eq!(begin(&mut answers, "a", 1, now), "UnderWay");
        answers.answer(1, recorded(StatusCode::OK, b"done"), now);
        assert_eq!(begin(&mut answers, "a", 1, now), "done");
        assert_eq!(begin(&mut answers, "a", 2, now), "Other");
        assert_eq!(begin(&mut answers, "b", 1, now), "new 2");
        let almost = now + REMEMBERED - Duration::from_nanos(1);
        assert_eq!(begin(&mut answers, "a", 1, almost), "done");
        assert_eq!(begin(&mut answers, "a", 1, now + REMEMBERED), "new 3");
    }

    #[test]
    fn a_request_that_came_to_nothing_may_be_made_again() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        assert_eq!(begin(&mut answers, "a", 1, now), "new 1");
        answers.forget(1);
        assert_eq!(begin(&mut answers, "a", 2, now), "new 2");
    }

    #[test]
    fn the_key_of_another_actor_is_another_key() {
        let mut headers = HeaderMap::new();
        headers.insert(FIELD, "a".parse().unwrap());
        let of = |name| Key::of(&headers, &Actor::token(name, Vec::new())).unwrap();
        assert_ne!(of("ana"), of("zoe"));
        assert_eq!(of("ana"), of("ana"));
    }

    #[test]
    fn the_oldest_answers_are_forgotten_first_and_what_is_under_way_never() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        begin(&mut answers, "running", 1, now);
        for n in 1..MAX_ANSWERS {
            let ticket = match answers.begin(key(&n.to_string()), [1; 32], now) {
                Begun::New(ticket) => ticket,
                other => panic!("{other:?}"),
            };
            answers.answer(ticket, recorded(StatusCode::OK, b"done"), now);
        }
        assert!(begin(&mut answers, "more", 1, now).starts_with("new"));
        assert_eq!(answers.entries.len(), MAX_ANSWERS);
        assert_eq!(begin(&mut answers, "running", 1, now), "UnderWay");
        assert_eq!(begin(&mut answers, "2", 1, now), "done");
        assert!(begin(&mut answers, "1", 1, now).starts_with("new"));
    }

    #[test]
    fn there_is_no_room_where_all_are_under_way() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        for n in 0..MAX_ANSWERS {
            begin(&mut answers, &n.to_string(), 1, now);
        }
        assert_eq!(begin(&mut answers, "more", 1, now), "Full");
    }

    #[test]
    fn the_bytes_that_are_remembered_are_bounded() {
        static LARGE: [u8; MAX_BYTES / 2] = [0; MAX_BYTES / 2];
        let (mut answers, now) = (Answers::default(), Instant::now());
        for (text, ticket) in [("a", 1), ("b", 2), ("c", 3)] {
            begin(&mut answers, text, 1, now);
            answers.answer(ticket, recorded(StatusCode::OK, &LARGE), now);
        }
        assert_eq!(answers.bytes, MAX_BYTES);
        assert_eq!(answers.entries.len(), 2);
        assert_eq!(begin(&mut answers, "a", 1, now), "new 4");
    }

    #[test]
    fn what_says_not_now_is_not_remembered() {
        for (status, lasting) in [
            (StatusCode::OK, true),
            (StatusCode::UNPROCESSABLE_ENTITY, true),
            (StatusCode::NOT_FOUND, true),
            (StatusCode::CONFLICT, false),
            (StatusCode::PRECONDITION_FAILED, false),
            (StatusCode::SERVICE_UNAVAILABLE, false),
        ] {
            assert_eq!(recorded(status, b"").is_lasting(), lasting, "{status}");
        }
    }

    #[test]
    fn a_key_is_one_text_with_quotes_or_without() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(key("\"8e03978e-40d5\""), key("8e03978e-40d5"));
        let long = "x".repeat(256);
        for wrong in [
            &[""][..],
            &["\"\""],
            &["\"a"],
            &["a\""],
            &["a b"],
            &["a\\b"],
            &["a", "a"],
            &[&long],
        ] {
            assert_eq!(read(wrong), Err(Code::IdempotencyKeyMalformed), "{wrong:?}");
        }
        assert!(read(&[&long[1..]]).is_ok());
    }
}
