//! Comparing the answer that a client got with the one to its copy.
//!
//! Nothing is kept of either but a status and a few hashes.

use std::cell::RefCell;
use std::rc::Rc;

use xxhash_rust::xxh3::Xxh3;

use crate::message::{ResponseHead, Tap, Watch};
use crate::telemetry::stats::{GrpcStatus, Mismatch};

/// Bytes of a body that are compared: what differs nearly always does before, and hashing all of a
/// large download would cost as much as sending it.
const COMPARED_BYTES: u64 = 1 << 20;

/// What of two answers is compared, besides their status.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Compare {
    /// The names of headers, in lower case.
    pub headers: Vec<Box<[u8]>>,
    /// True when the bodies are, up to 1 MiB.
    pub body: bool,
}

/// What is known of an answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::proxy::mirror) struct Answer {
    pub(in crate::proxy::mirror) status: u16,
    /// What it says of a call of gRPC, if it is one.
    pub(in crate::proxy::mirror) grpc: Option<GrpcStatus>,
    /// A hash of all values of each header that is compared, in their order; `None` without one.
    headers: Vec<Option<u64>>,
    /// A hash of the body, as far as it is compared.
    body: u64,
}

impl Answer {
    /// What is known of an answer with this head, and a body of this hash.
    pub(in crate::proxy::mirror) fn new(
        compare: &Compare,
        head: &ResponseHead,
        grpc: Option<GrpcStatus>,
        body: u64,
    ) -> Self {
        let headers = compare.headers.iter().map(|name| {
            let mut hash = None;
            for field in head.fields().filter(|field| field.is(name)) {
                let hash = hash.get_or_insert_with(Xxh3::new);
                hash.update(field.value);
                // No value has one, so that two values are not one.
                hash.update(b"\n");
            }
            hash.map(|hash| hash.digest())
        });
        Self {
            status: head.status,
            grpc,
            headers: headers.collect(),
            body,
        }
    }

    /// What another answer differs in.
    pub(in crate::proxy::mirror) fn differs(&self, other: &Self) -> Vec<Mismatch> {
        // With another status everything else is another, too, and says nothing more.
        if (self.status, self.grpc) != (other.status, other.grpc) {
            return vec![Mismatch::Status];
        }
        let header = (self.headers != other.headers).then_some(Mismatch::Header);
        let body = (self.body != other.body).then_some(Mismatch::Body);
        header.into_iter().chain(body).collect()
    }
}

/// The hash of a body that passes.
#[derive(Default)]
pub(in crate::proxy::mirror) struct Digest(RefCell<Hashed>);

struct Hashed {
    hash: Box<Xxh3>,
    left: u64,
}

impl Default for Hashed {
    fn default() -> Self {
        Self {
            hash: Box::default(),
            left: COMPARED_BYTES,
        }
    }
}

impl Digest {
    /// Begins anew, and watches by this.
    pub(in crate::proxy::mirror) fn tap(self: &Rc<Self>) -> Tap {
        self.restart();
        Tap::new(Rc::clone(self) as Rc<dyn Watch>)
    }

    /// Begins anew.
    pub(in crate::proxy::mirror) fn restart(&self) {
        let mut hashed = self.0.borrow_mut();
        if hashed.left < COMPARED_BYTES {
            hashed.hash.reset();
            hashed.left = COMPARED_BYTES;
        }
    }

    /// The hash of what has passed.
    pub(in crate::proxy::mirror) fn value(&self) -> u64 {
        self.0.borrow().hash.digest()
    }
}

impl Watch for Digest {
    fn see(&self, bytes: &[u8]) -> bool {
        let mut hashed = self.0.borrow_mut();
        let n = usize::try_from(hashed.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        hashed.hash.update(&bytes[..n]);
        hashed.left -= n as u64;
        hashed.left > 0
    }

    fn end(&self) {}
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use crate::message::{ResponseHead, Watch as _};
    use crate::proxy::mirror::compare::{Answer, COMPARED_BYTES, Compare, Digest};
    use crate::telemetry::stats::{GrpcStatus, Mismatch};

    fn answer(status: u16, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let compare = Compare {
            headers: vec![b"content-type".as_slice().into(), b"x-a".as_slice().into()],
            body: true,
        };
        let mut head = ResponseHead {
            status,
            ..ResponseHead::default()
        };
        for (name, value) in fields {
            head.append_field(name.as_bytes(), value.as_bytes());
        }
        let digest = Rc::new(Digest::default());
        digest.tap().see(body);
        Answer::new(&compare, &head, None, digest.value())
    }

    #[track_caller]
    fn check(one: &Answer, other: &Answer, expected: &[Mismatch]) {
        assert_eq!(one.differs(other), expected);
        assert_eq!(other.differs(one), expected);
    }

    #[test]
    fn answers_differ_in_status_header_and_body() {
        let fields = [("Content-Type", "text/plain"), ("Date", "today")];
        let one = answer(200, &fields, b"hello");
        check(&one, &one.clone(), &[]);
        let dated = [("content-type", "text/plain"), ("date", "tomorrow")];
        check(&one, &answer(200, &dated, b"hello"), &[]);
        let typed = [("content-type", "text/html")];
        check(&one, &answer(200, &typed, b"hello"), &[Mismatch::Header]);
        check(&one, &answer(200, &fields, b"hallo"), &[Mismatch::Body]);
        let both = answer(200, &[], b"");
        check(&one, &both, &[Mismatch::Header, Mismatch::Body]);
    }

    #[test]
    fn with_another_status_nothing_else_is_compared() {
        let one = answer(200, &[("x-a", "1")], b"hello");
        check(&one, &answer(500, &[], b""), &[Mismatch::Status]);
        let grpc = Answer {
            grpc: Some(GrpcStatus::Internal),
            ..one.clone()
        };
        check(&one, &grpc, &[Mismatch::Status]);
    }

    #[test]
    fn two_values_are_not_one() {
        let two = answer(200, &[("x-a", "1"), ("x-a", "2")], b"");
        check(
            &two,
            &answer(200, &[("x-a", "12")], b""),
            &[Mismatch::Header],
        );
        check(
            &answer(200, &[("x-a", "")], b""),
            &answer(200, &[], b""),
            &[Mismatch::Header],
        );
    }

    #[test]
    fn no_more_of_a_body_is_hashed_than_is_compared() {
        let large = vec![1; COMPARED_BYTES as usize];
        let digest = Rc::new(Digest::default());
        assert!(digest.see(&large[1..]));
        assert!(!digest.see(b"\x01\x02"), "it wants no more");
        let whole = Rc::new(Digest::default());
        whole.see(&large);
        assert_eq!(digest.value(), whole.value());
    }

    proptest! {
        #[test]
        fn a_hash_does_not_depend_on_how_the_body_comes(
            pieces in vec(vec(any::<u8>(), 0..300), 0..8),
        ) {
            let digest = Rc::new(Digest::default());
            digest.see(b"of an attempt before");
            digest.restart();
            for piece in &pieces {
                digest.see(piece);
            }
            let whole = Rc::new(Digest::default());
            whole.see(&pieces.concat());
            prop_assert_eq!(digest.value(), whole.value());
        }
    }
}
