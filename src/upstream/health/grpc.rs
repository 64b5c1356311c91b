//! The two messages of gRPC's health service (grpc.health.v1, doc/health-checking.md): one field
//! each, so that they are written and read here.

/// The path of its method.
pub(in crate::upstream::health) const PATH: &str = "/grpc.health.v1.Health/Check";

/// The longest answer that is read: a message of one small field and its head.
pub(in crate::upstream::health) const MAX_ANSWER: usize = 1024;

/// The value of `status` for a service that serves.
const SERVING: u64 = 1;

/// Writes the question for a service, with the head that every message of gRPC has.
pub(in crate::upstream::health) fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, a string.
        message.push(0x0a);
        varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    // Not compressed, and how long it is.
    let mut framed = vec![0];
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&message);
    framed
}

/// True when an answer says that the service is serving.
pub(in crate::upstream::health) fn is_serving(answer: &[u8]) -> bool {
    let Some((head, mut message)) = answer.split_first_chunk::<5>() else {
        return false;
    };
    if head[0] != 0
        || message.len() as u64
            != u64::from(u32::from_be_bytes([head[1], head[2], head[3], head[4]]))
    {
        return false;
    }
    let mut status = 0;
    while let Some(key) = read_varint(&mut message) {
        // Fields that a later version may add are passed over.
        let value = match key & 7 {
            0 => read_varint(&mut message),
            1 => skip(&mut message, 8),
            2 => read_varint(&mut message).and_then(|n| skip(&mut message, n)),
            5 => skip(&mut message, 4),
            _ => None,
        };
        let Some(value) = value else {
            return false;
        };
        if key == 0x08 {
            status = value;
        }
    }
    message.is_empty() && status == SERVING
}

fn skip(message: &mut &[u8], n: u64) -> Option<u64> {
    *message = message.get(usize::try_from(n).ok()?..)?;
    Some(0)
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// Reads a number; `None` at the end, or when it has none.
fn read_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (n, &byte) in message.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * n as u32);
        if byte & 0x80 == 0 {
            *message = &message[n + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    use crate::upstream::health::grpc::{is_serving, question};

    #[test]
    fn a_question_names_its_service() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 2]);
    }

    #[test]
    fn only_serving_is_serving() {
        assert!(is_serving(&[0, 0, 0, 0, 2, 0x08, 1]));
        // A field that is not known, of each kind, and the one that is.
        let known = [
            0x10, 0x80, 1, 0x1a, 1, 9, 0x25, 1, 2, 3, 4, 0x29, 1, 2, 3, 4, 5, 6, 7, 8, 0x08, 1,
        ];
        assert!(is_serving(&[&[0, 0, 0, 0, 22][..], &known].concat()));
        for other in [
            &[][..],
            // UNKNOWN, which is also what an empty message says; NOT_SERVING; SERVICE_UNKNOWN.
            &[0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 0x08, 0],
            &[0, 0, 0, 0, 2, 0x08, 2],
            &[0, 0, 0, 0, 2, 0x08, 3],
            // Compressed, cut, too long, of another field, without an end.
            &[1, 0, 0, 0, 2, 0x08, 1],
            &[0, 0, 0, 0, 3, 0x08, 1],
            &[0, 0, 0, 0, 1, 0x08, 1],
            &[0, 0, 0, 0, 2, 0x10, 1],
            &[0, 0, 0, 0, 3, 0x08, 1, 0x80],
            &[0, 0, 0, 0, 4, 0x08, 1, 0x1a, 9],
        ] {
            assert!(!is_serving(other), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(answer in vec(any::<u8>(), 0..40)) {
            is_serving(&answer);
        }
    }
}
