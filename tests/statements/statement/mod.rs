//! What holds for any bytes, a plain function for each: it panics where it does not hold.
//!
//! They are said once and asked twice: by the property tests beside this folder, always, and by the
//! targets in `fuzz/`, for as long as somebody lets them. They know of tidegate what everybody may
//! know, and nothing of who asks.

mod chunked;
mod config;
mod forwarded;
mod keys;
mod proxy_protocol;
mod request_head;
mod response_head;
mod routes;

/// A statement about any bytes.
type Statement = fn(&[u8]);

/// All statements, by the names of their seeds and of their targets in `fuzz/`.
pub(crate) const ALL: [(&str, Statement); 8] = [
    ("chunked", chunked::holds),
    ("config", config::holds),
    ("forwarded", forwarded::holds),
    ("keys", keys::holds),
    ("proxy_protocol", proxy_protocol::holds),
    ("request_head", request_head::holds),
    ("response_head", response_head::holds),
    ("routes", routes::holds),
];

/// Asks the statement of this name.
///
/// # Panics
/// When it does not hold for these bytes, or there is none of that name.
pub(crate) fn holds(name: &str, bytes: &[u8]) {
    let (_, statement) = ALL
        .iter()
        .find(|(own, _)| *own == name)
        .unwrap_or_else(|| panic!("no statement is called {name}"));
    statement(bytes);
}
