//! Limits on what a peer may send: without them one message could take all the memory.

/// The largest things that a message may have; past them it is refused, not cut.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of a head, from its first byte to the empty line (431).
    pub head_bytes: usize,
    /// Fields of a head (431), and likewise of trailers.
    pub fields: usize,
    /// Bytes of a request's target (414).
    pub uri_bytes: usize,
    /// Bytes of a request's body (413); `None` is any.
    pub body_bytes: Option<u64>,
}

impl Default for Limits {
    /// 64 KiB, 100 fields, 8 KiB, any body: what HAProxy and Sōzu use in practice.
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            fields: 100,
            uri_bytes: 8 * 1024,
            body_bytes: None,
        }
    }
}
