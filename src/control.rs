//! The one writer: from configuration to what the data plane obeys.
