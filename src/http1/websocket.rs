//! The keys of a WebSocket's handshake (RFC 6455, section 4), for handshakes that a proxy makes
//! itself: HTTP/2 has none of them (RFC 8441, section 5.1).

use sha1::{Digest, Sha1};

use crate::message::base64;

/// The version of the protocol that there is.
pub const WEBSOCKET_VERSION: &[u8] = b"13";

/// What a server puts behind a key, so that nobody answers by accident (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of Sec-WebSocket-Key, of 16 random bytes.
pub fn websocket_key(random: [u8; 16]) -> String {
    base64(&random)
}

/// The value of Sec-WebSocket-Accept that answers a key.
pub fn websocket_accept(key: &[u8]) -> String {
    base64(&Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use crate::http1::{websocket_accept, websocket_key};

    #[test]
    fn keys_and_their_answers_are_those_of_the_rfc() {
        // RFC 6455, sections 1.3 and 4.1.
        let key = websocket_key(std::array::from_fn(|n| u8::try_from(n + 1).unwrap()));
        assert_eq!(key, "AQIDBAUGBwgJCgsMDQ4PEA==");
        let accept = websocket_accept(b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
