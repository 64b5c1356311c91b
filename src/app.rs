//! All of it, in order.
