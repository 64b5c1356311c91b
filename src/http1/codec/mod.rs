//! The codec: bytes to heads and chunks, and nothing else.
