//! The integration tests: the real binary, driven over real sockets.
//!
//! Each test starts a proxy of its own on ports that the system picks, with origins that write down
//! what they get, and proves one sentence. `support` is the vocabulary; every other module is a
//! topic. Nothing here sleeps: a test waits for an event, with a bound that is generous.

#![cfg(test)]

mod support;

mod access;
mod access_log;
mod activation;
mod admin;
mod admin_metrics;
mod admin_mutations;
mod admin_tokens;
mod assignment;
mod binary_upgrade;
mod bounds;
mod breaker;
mod cli;
mod cli_help;
mod cli_pipes;
mod cli_terminal;
mod cli_top;
mod config_dump;
mod consistent_hash;
mod deploy;
mod deploy_kubernetes;

mod dos_connections;
mod dos_http1;
mod dos_http2;
mod dos_http2_heads;

mod edits;
mod expect;
mod faults;
mod faults_lasting;
mod forced;
mod forward;
mod framing;
mod grpc;
mod h2;
mod h2_bodies;
mod h2_heads;
mod h2_plain;
mod half_closed;
mod health;
mod http1;
mod http1_peers;
mod identity;
mod include;
mod interplay;
mod io_uring;
mod large_bodies;
mod judged;
mod life;
mod limits;
mod mirror;
mod mirror_compare;
mod mirror_safety;
mod names;
mod outlier;
mod overload;
mod pin;
mod plan;
mod prometheus;
mod proxy_protocol;
mod proxy_protocol_out;
mod rate_limit;
mod reasons;
mod redirect;
mod reload;
mod reload_files;
mod reload_listeners;
mod reload_under_load;
mod request_id;
mod respond;
mod retry;
mod rewrite;
mod route_limits;
mod routing;
mod rules;
mod segments;
mod schema;
mod shared;
mod shared_writes;
mod smuggling;
mod smuggling_answers;
mod split;
mod split_failover;
mod streaming;
mod tcp;
mod timeouts;
mod tls;
mod tls_certificates;
mod tls_peers;
mod tls_clients;
mod tls_terms;
mod tls_upstream;
mod tunnels_switched;
mod unix_sockets;
mod unread;
mod upgrade;
mod upstream;
mod upstream_http2;
mod upstream_http2_connections;
mod upstream_http2_failures;
mod upstream_http2_peers;
mod upstream_limits;
mod vocabulary;
mod websocket_h2;
mod websocket_h2_tunnel;
mod websocket_peers;
mod websocket_upstream_h2;
mod websocket_upstream_h2_tunnel;
