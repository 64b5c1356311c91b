//! What tidegate tells about itself: numbers, access log, traces.
