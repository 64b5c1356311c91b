//! What a request's head is, and what it is not.

use crate::http1::codec::{HeadScanner, read_request};
use crate::message::{Limits, RequestHead};

#[test]
fn a_plain_request_is_read() {
    let bytes = b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let limits = Limits::default();
    let length = HeadScanner::default().scan(bytes, &limits);
    assert_eq!(length, Ok(Some(bytes.len())));
    let mut head = RequestHead::default();
    read_request(bytes, &limits, &mut head).unwrap();
    assert_eq!(head.path(), b"/a");
    assert_eq!(head.query(), Some(&b"b=c"[..]));
    assert_eq!(head.authority(), b"example.com");
}
