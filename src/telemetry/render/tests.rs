//! The text is one that Prometheus reads.
