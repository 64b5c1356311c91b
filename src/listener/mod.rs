//! Listeners: from bytes of clients to requests.
