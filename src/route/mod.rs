//! Routes: which rule catches a request.
