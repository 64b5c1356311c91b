//! Every kind of problem outside of routes, as it is told.

use crate::config::tests::{config, read, refused};
use crate::telemetry::access_log::Field;

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    refused(
        "[runtime]\nworkers = -1\n[listener.http]\nadress = \"127.0.0.1:81\"\n\
         [route.shop.split.canary]\nupstream = \"baze\"\nweight = -5\n",
        &[
            "2:11 runtime.workers: -1 is not a whole number from 0 to 1024",
            "3:11 listener.http.address: missing; an IP address with a port, such as \
             \"0.0.0.0:8080\" or \"[::]:8080\", or \"unix:\" and a path belongs here",
            "4:1 listener.http.adress: unknown key, did you mean address? (known here: address, \
             mode, protocols, tls, timeouts, limits, trusted_proxies, forwarded, proxy_protocol)",
            "6:12 route.shop.split.canary.upstream: there is no upstream \"baze\", did you mean \
             \"base\"?",
            "7:10 route.shop.split.canary.weight: -5 is not a whole number from 0 to 1000000",
        ],
    );
}

#[test]
fn an_unknown_section_is_refused() {
    refused(
        "[listner.http]\n",
        &[
            "1:2 listner: unknown key, did you mean listener? (known here: include, runtime, \
           listener, upstream, flags, flag, segment, trace, route, overload, shutdown, upgrade, \
           access_log, admin, ofrep, metrics, resolver, cluster, store, strategy, gate, release, freeze, notify)",
        ],
    );
    refused(
        "[shutdown]\n\"a b\" = 1\n",
        &["2:1 shutdown.\"a b\": unknown key (known here: delay, spread, timeout)"],
    );
}

#[test]
fn a_name_is_short_and_plain() {
    let long = "x".repeat(65);
    refused(
        &format!("[upstream.\"a.b\"]\n[upstream.\"\"]\n[upstream.{long}]\n"),
        &[
            "1:11 upstream.\"a.b\": \"a.b\" is not a name of 1 to 64 letters, digits, \"-\" and \"_\"",
            "2:11 upstream.\"\": \"\" is not a name of 1 to 64 letters, digits, \"-\" and \"_\"",
            &format!(
                "3:11 upstream.{long}: \"{}… is not a name of 1 to 64 letters, digits, \"-\" and \"_\"",
                &long[..59]
            ),
        ],
    );
}

#[test]
fn what_is_no_table_is_told() {
    refused("runtime = 5\n", &["1:11 runtime: 5 is not a table"]);
    refused("[[runtime]]\n", &["1:1 runtime: an array is not a table"]);
    refused(
        "[route]\nx = \"y\"\n",
        &["2:5 route.x: \"y\" is not a table"],
    );
}

#[test]
fn a_listener_is_checked() {
    refused(
        "[listener.a]\naddress = \"127.0.0.1:1\"\nproxy_protocol = \"required\"\n\
         [listener.b]\naddress = \"127.0.0.1:2\"\nproxy_protocol = \"on\"\n",
        &[
            "3:18 listener.a.proxy_protocol: nobody is trusted to tell: trusted_proxies is empty",
            "6:18 listener.b.proxy_protocol: \"on\" is not \"off\" or \"required\" or \
             \"from_trusted\"",
        ],
    );
    refused(
        "[listener.http]\naddress = \"localhost:80\"\nprotocols = [\"h2\", \"h3\"]\n\
         forwarded = \"both\"\ntrusted_proxies = [\"10.0.0.1/8\", \"10.0.0.1\", \"ten\"]\n",
        &[
            "2:11 listener.http.address: \"localhost:80\" is not an IP address with a port, such \
             as \"0.0.0.0:8080\" or \"[::]:8080\", or \"unix:\" and a path",
            "3:20 listener.http.protocols[1]: \"h3\" is not \"h2\" or \"http/1.1\", did you mean \
             \"h2\"?",
            "4:13 listener.http.forwarded: \"both\" is not \"x-forwarded\" or \"rfc7239\"",
            "5:20 listener.http.trusted_proxies[0]: \"10.0.0.1/8\" has bits set beyond its prefix, \
             did you mean \"10.0.0.0/8\"?",
            "5:46 listener.http.trusted_proxies[2]: \"ten\" is not a network such as \
             \"10.0.0.0/8\" or an IP address",
        ],
    );
    refused(
        "[listener.http]\naddress = \"127.0.0.1:1\"\nprotocols = []\n",
        &["3:13 listener.http.protocols: empty; a listener speaks at least one protocol"],
    );
    refused(
        "[listener.http]\naddress = \"127.0.0.1:1\"\nprotocols = [\"http/1.1\", \"http/1.1\"]\n",
        &["3:26 listener.http.protocols[1]: \"http/1.1\" is named twice"],
    );
}

#[test]
fn durations_have_a_unit_and_a_range() {
    let not = |key: &str, value: &str| {
        format!(
            "{key}: {value} is not a duration from 1ms to 400d, such as \"250ms\", \"2s\" or \"5m\""
        )
    };
    refused(
        "[listener.http]\naddress = \"127.0.0.1:1\"\n[listener.http.timeouts]\nidle = \"0s\"\n\
         header = 10\nbody = \"1.5s\"\ntunnel = \"401d\"\nfirst_byte = \"99999999999999999999d\"\n",
        &[
            &not("4:8 listener.http.timeouts.idle", "\"0s\""),
            &not("5:10 listener.http.timeouts.header", "10"),
            &not("6:8 listener.http.timeouts.body", "\"1.5s\""),
            &not("7:10 listener.http.timeouts.tunnel", "\"401d\""),
            &not(
                "8:14 listener.http.timeouts.first_byte",
                "\"99999999999999999999d\"",
            ),
        ],
    );
}

#[test]
fn sizes_have_a_unit_and_a_range() {
    refused(
        "[listener.http]\naddress = \"127.0.0.1:1\"\n[listener.http.limits]\nhead = \"64kb\"\n\
         uri = 8192\nbody = \"-1B\"\nfields = 1.5\nconnections = true\n",
        &[
            "4:8 listener.http.limits.head: \"64kb\" is not a size from 1KiB to 1MiB, such as \
             \"512B\", \"64KiB\" or \"1MiB\"",
            "5:7 listener.http.limits.uri: 8192 is not a size from 64B to 1MiB, such as \"512B\", \
             \"64KiB\" or \"1MiB\"",
            "6:8 listener.http.limits.body: \"-1B\" is not a size from 0B to 1048576TiB, such as \
             \"512B\", \"64KiB\" or \"1MiB\"",
            "7:10 listener.http.limits.fields: 1.5 is not a whole number from 1 to 10000",
            "8:15 listener.http.limits.connections: true is not a whole number from 0 to 100000000",
        ],
    );
}

#[test]
fn a_key_that_would_have_no_effect_is_refused() {
    refused(
        "[listener.http]\naddress = \"127.0.0.1:1\"\ntimeouts = { tls = \"5s\" }\n\
         limits = { streams = 10 }\n",
        &[
            "3:14 listener.http.timeouts.tls: has no effect on a listener without tls",
            "4:12 listener.http.limits.streams: has no effect on a listener without h2",
        ],
    );
}

#[test]
fn certificates_are_pairs_and_at_least_one() {
    let tls =
        |tls: &str| format!("[listener.s]\naddress = \"127.0.0.1:1\"\n[listener.s.tls]\n{tls}\n");
    let what = "a list of { cert = \"…\", key = \"…\" }";
    refused(
        &tls(""),
        &[&format!(
            "3:13 listener.s.tls.certificates: missing; {what} belongs here"
        )],
    );
    refused(
        &tls("certificates = []"),
        &[
            "4:16 listener.s.tls.certificates: empty; a listener with tls needs at least one certificate",
        ],
    );
    refused(
        &tls("certificates = [{ cert = \"a.crt\" }, { cert = \"\", key = 1 }]"),
        &[
            "4:17 listener.s.tls.certificates[0].key: missing; the path of a private key belongs here",
            "4:46 listener.s.tls.certificates[1].cert: \"\" is not a path",
            "4:56 listener.s.tls.certificates[1].key: 1 is not a path",
        ],
    );
    refused(
        &tls("certificates = { cert = \"a\" }"),
        &[&format!(
            "4:16 listener.s.tls.certificates: a table is not {what}"
        )],
    );
}

#[test]
fn an_address_belongs_to_one_listener() {
    refused(
        "[listener.a]\naddress = \"127.0.0.1:80\"\n[listener.b]\naddress = \"127.0.0.1:0\"\n\
         [listener.c]\naddress = \"127.0.0.1:0\"\n",
        &["8:11 listener.base: 127.0.0.1:80 is the address of listener a already"],
    );
    refused(
        "[admin]\naddress = \"127.0.0.1:80\"\n",
        &["2:11 admin.address: 127.0.0.1:80 is the address of listener base already"],
    );
}

#[test]
fn an_upstream_is_checked() {
    refused(
        "[upstream.a]\nbalance = \"random\"\npool = { idle = -1 }\n[upstream.a.timeouts]\nconnect = \"0ms\"\n\
         conect = \"1s\"\n",
        &[
            "1:11 upstream.a.endpoints: missing; a list of addresses or names such as [\"10.0.0.11:9000\"] \
             belongs here",
            "2:11 upstream.a.balance: \"random\" is not \"least_request\" or \"round_robin\" or \
             \"consistent_hash\"",
            "3:17 upstream.a.pool.idle: -1 is not a whole number from 0 to 100000",
            "5:11 upstream.a.timeouts.connect: \"0ms\" is not a duration from 1ms to 400d, such as \
             \"250ms\", \"2s\" or \"5m\"",
            "6:1 upstream.a.timeouts.conect: unknown key, did you mean connect? (known here: \
             connect, response, body, idle)",
        ],
    );
    refused(
        "[upstream.a]\nendpoints = [\"a:1\"]\nbalance = \"consistent_hash\"\n\
         [upstream.b]\nendpoints = [\"b:1\"]\nhash = [\"client_ip\"]\n\
         [upstream.c]\nendpoints = [\"c:1\"]\nbalance = \"consistent_hash\"\nhash = []\n\
         [upstream.d]\nendpoints = [\"d:1\"]\nbalance = \"consistent_hash\"\nhash = [\"ip\"]\n",
        &[
            "3:11 upstream.a.balance: \"consistent_hash\" needs a key: hash = [\"client_ip\"], \
             for example",
            "6:1 upstream.b.hash: nothing is hashed while balance is \"least_request\"; it belongs to \
             \"consistent_hash\"",
            "10:8 upstream.c.hash: empty; what is hashed belongs here",
            "14:9 upstream.d.hash[0]: \"ip\" is not \"header:NAME\", \"cookie:NAME\", \"query:NAME\" or \
             \"client_ip\"",
        ],
    );
    refused(
        "[upstream.a]\nendpoints = []\n",
        &["2:13 upstream.a.endpoints: empty; an upstream needs at least one endpoint"],
    );
    refused(
        "[upstream.a]\nendpoints = \"127.0.0.1:1\"\n",
        &[
            "2:13 upstream.a.endpoints: \"127.0.0.1:1\" is not a list of addresses or names such as \
           [\"10.0.0.11:9000\"]",
        ],
    );
}

#[test]
fn an_endpoint_is_an_address_or_a_name_and_a_port() {
    let not = "is not an address or a name with a port, such as \"10.0.0.11:9000\", \
               \"[fd00::11]:9000\" or \"shop.internal:9000\", nor a service such as \
               \"srv:_http._tcp.shop.internal\"";
    refused(
        "[upstream.a]\nendpoints = [\n\"app:http\",\n\"app.example.com\",\n\":80\",\n\"1.2.3.4\",\n\
         \"1.2.3.4:0\",\n\"1.2.3.4:5\",\n\"1.2.3.4:5\",\n\"::1\",\n8,\n\"http://a:80\",\n]\n",
        &[
            "3:1 upstream.a.endpoints[0]: \"app:http\" has no port from 1 to 65535 after its colon",
            "4:1 upstream.a.endpoints[1]: \"app.example.com\" has no port; write it as \
             \"shop.internal:9000\"",
            &format!("5:1 upstream.a.endpoints[2]: \":80\" {not}"),
            &format!("6:1 upstream.a.endpoints[3]: \"1.2.3.4\" {not}"),
            "7:1 upstream.a.endpoints[4]: \"1.2.3.4:0\" has port 0, which nobody listens on",
            "9:1 upstream.a.endpoints[6]: \"1.2.3.4:5\" is named twice",
            &format!("10:1 upstream.a.endpoints[7]: \"::1\" {not}"),
            "11:1 upstream.a.endpoints[8]: 8 is not a string",
            &format!("12:1 upstream.a.endpoints[9]: \"http://a:80\" {not}"),
        ],
    );
}

#[test]
fn a_resolver_has_addresses_and_bounds() {
    let not = "is not an IP address, with a port or without, such as \"10.0.0.2:53\"";
    refused(
        "[resolver]\nnameservers = [\"dns.internal\", \"10.0.0.2:0\"]\nmin_ttl = \"31s\"\n",
        &[
            "1:2 resolver: max_ttl (30s) is less than min_ttl (31s)",
            &format!("2:16 resolver.nameservers[0]: \"dns.internal\" {not}"),
            &format!("2:32 resolver.nameservers[1]: \"10.0.0.2:0\" {not}"),
        ],
    );
}

#[test]
fn a_shutdown_has_time_for_its_parts() {
    refused(
        "[shutdown]\ntimeout = \"9s\"\n",
        &["1:2 shutdown: the timeout (9s) is less than delay and spread together (10s)"],
    );
    refused(
        "[shutdown]\ntimeout = \"0s\"\ndelay = 0\nspread = \"0s\"\n",
        &[
            "2:11 shutdown.timeout: \"0s\" is not a duration from 1ms to 400d, such as \"250ms\", \
             \"2s\" or \"5m\"",
            "3:9 shutdown.delay: 0 is not a duration from 0s to 400d, such as \"250ms\", \"2s\" or \
             \"5m\"",
        ],
    );
}

#[test]
fn the_access_log_is_checked() {
    refused(
        "[access_log]\nformat = \"xml\"\noutput = 1\n",
        &[
            "2:10 access_log.format: \"xml\" is not \"json\" or \"common\" or \"combined\"",
            "3:10 access_log.output: 1 is not \"stdout\", \"off\" or a path",
        ],
    );
    refused(
        "[access_log]\nfields = [\"ts\", \"statos\", \"ts\"]\nsample = 1.5\n\
         redact = [\"clientip\"]\n",
        &[
            "2:17 access_log.fields[1]: \"statos\" is not a field, did you mean \"status\"? (known \
             here: ts, listener, route, variant, served_variant, selection, segment, flags, key_hash, method, \
             host, path, query, status, source, reason, bytes_in, bytes_out, duration_ms, ttfb_ms, \
             upstream_connect_ms, attempts, mirror, endpoint, client_ip, protocol, upstream_protocol, \
             grpc_status, generation, \
             request_id, trace_id)",
            "2:27 access_log.fields[2]: \"ts\" stands there twice",
            "3:10 access_log.sample: 1.5 is not a number from 0 to 1",
            "4:11 access_log.redact[0]: \"clientip\" is not what can be masked, did you mean \
             \"client_ip\"? (known here: query, client_ip, referer, user_agent)",
        ],
    );
    refused(
        "[access_log]\nfields = [\"ts\"]\nformat = \"common\"\n",
        &["2:1 access_log.fields: the format \"common\" has fields of its own"],
    );
    refused(
        "[access_log]\nfields = []\n",
        &["2:1 access_log.fields: none; leave it out for all of them"],
    );
}

#[test]
fn the_name_of_request_ids_is_checked() {
    for (name, said) in [
        ("a b", "is not \"off\" or the name of a header field"),
        ("", "is not \"off\" or the name of a header field"),
        ("Host", "is a field with another purpose"),
        ("x-forwarded-for", "is a field with another purpose"),
    ] {
        refused(
            &format!("[trace]\nrequest_id = \"{name}\"\n"),
            &[&format!("2:14 trace.request_id: \"{name}\" {said}")],
        );
    }
    let read = |name: &str| {
        config(&format!("[trace]\nrequest_id = \"{name}\""))
            .trace
            .request_id
    };
    assert_eq!(
        read("X-Correlation-Id").as_deref(),
        Some("x-correlation-id")
    );
    assert_eq!(read("off"), None);
}

#[test]
fn the_access_log_is_read() {
    let log =
        config("[access_log]\nfields = [\"status\", \"ts\"]\nsample = 0\nredact = []\n").access_log;
    assert_eq!(log.fields, [Field::Status, Field::Ts]);
    assert_eq!(log.sample, 0.0);
    assert_eq!(log.redact, []);
}

#[test]
fn an_admin_address_that_is_not_loopback_needs_a_token() {
    refused(
        "[admin]\naddress = \"0.0.0.0:9900\"\n",
        &["1:2 admin: 0.0.0.0:9900 is not a loopback address, so a token is needed"],
    );
}

#[test]
fn a_token_is_never_repeated() {
    let text = |token: &str| {
        format!(
            "[admin]\ntoken = {token}\n{}",
            "[listener.a]\naddress = \"127.0.0.1:1\""
        )
    };
    for token in [
        "\"s3cret\"",
        "12345678",
        "[\"s3cret-s3cret\"]",
        "\"s3cret s3cret\"",
    ] {
        let problems = read(&text(token)).unwrap_err();
        assert!(problems.contains("admin.token: the "), "{problems}");
        assert!(
            !problems.contains("s3cret") && !problems.contains("1234"),
            "{problems}"
        );
    }
    let config = read(&text("\"s3cret-s3cret\"")).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    assert!(!config.effective().to_string().contains("s3cret"));
}

#[test]
fn buckets_ascend() {
    refused(
        "[metrics]\nbuckets = [1, 0.5, -1, nan, \"2\", inf]\n",
        &[
            "2:15 metrics.buckets[1]: 0.5 is not more than the one before it",
            "2:20 metrics.buckets[2]: -1 is not a number greater than 0",
            "2:24 metrics.buckets[3]: nan is not a number greater than 0",
            "2:29 metrics.buckets[4]: \"2\" is not a number greater than 0",
            "2:34 metrics.buckets[5]: inf is not a number greater than 0",
        ],
    );
    refused(
        "[metrics]\nbuckets = []\n",
        &["2:11 metrics.buckets: 0 bounds where 1 to 23 are possible"],
    );
    let many: Vec<String> = (1..=24).map(|bound| bound.to_string()).collect();
    refused(
        &format!("[metrics]\nbuckets = [{}]\n", many.join(", ")),
        &["2:11 metrics.buckets: 24 bounds where 1 to 23 are possible"],
    );
    refused(
        "[metrics]\nbuckets = [1, 7200]\n",
        &["2:11 metrics.buckets: 7200 is not a number of seconds from 1 µs to 1 h"],
    );
}
