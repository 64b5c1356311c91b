//! The configuration: from a file to values that hold.
