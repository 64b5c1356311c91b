//! The access log as a whole.
