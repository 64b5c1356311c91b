//! Which test holds which rule of what happens to a message on its way, and to what surrounds it.
//!
//! A name with a `/` before its `::` is that of a unit test, all others are of modules beside this
//! one; `*` stands for the rest of a name. A test holds that all of them exist.
//!
//! | rule | tests |
//! |---|---|
//! | **Fields of the hop** | |
//! | `Connection`, what it names, `Keep-Alive`, `Proxy-*`, `TE`, `Upgrade` and the like end here | `forward::fields_of_the_hop_stay_on_it`, `forward::fields_of_the_hop_stay_on_it_in_answers_too`, `upstream_http2::fields_of_an_http_1_connection_end_here`, `h2::fields_of_the_hop_are_not_passed_to_http2` |
//! | `TE: trailers` is passed on | `forward::the_wish_for_trailers_is_passed_on` |
//! | `Connection` cannot take away what others rely on | `forward::connection_cannot_take_away_what_the_proxy_and_the_origin_rely_on` |
//! | **Framing** | |
//! | lengths that differ, or beside a transfer encoding | `smuggling::a_length_beside_a_transfer_encoding_is_refused`, `smuggling::a_length_that_conflicts_or_is_no_number_is_refused` |
//! | transfer encodings that do not end in chunked, or in HTTP/1.0 | `smuggling::a_transfer_encoding_that_does_not_end_in_chunked_is_refused`, `smuggling::a_transfer_encoding_in_http_1_0_is_refused` |
//! | folded lines, bare CR and LF, NUL, blanks before colons | `smuggling::field_lines_that_others_read_otherwise_are_refused` |
//! | chunks, to the letter | `smuggling::a_request_with_bad_chunks_is_refused_and_never_ended`, `smuggling_answers::an_answer_with_a_bad_chunk_never_looks_whole`, `bounds::chunk_extensions_without_an_end_are_withstood` |
//! | of answers | `smuggling_answers::an_answer_with_framing_that_conflicts_is_502`, `smuggling_answers::an_answer_whose_head_is_garbage_is_502`, `smuggling_answers::bytes_after_an_answer_are_never_taken_for_the_next_one` |
//! | a cut message never looks whole | `smuggling_answers::an_answer_that_is_cut_never_looks_whole`, `smuggling_answers::an_answer_until_the_close_that_is_reset_never_looks_whole`, `smuggling_answers::a_client_of_http_1_0_sees_a_cut_answer_as_a_reset`, `h2::a_body_that_is_not_as_long_as_it_says_never_looks_whole`, `upstream_http2_failures::an_answer_that_is_reset_halfway_never_looks_whole` |
//! | an empty line before a request | `http1::an_empty_line_before_a_request_is_skipped_and_a_second_one_is_not` |
//! | **From HTTP/2 to HTTP/1** | |
//! | fields of connections, pseudo-fields, names, values, paths | `h2_heads::*` |
//! | `:authority` and `Host` | `h2_heads::authorities_that_are_none_or_differ_from_host_are_refused` |
//! | crumbs of cookies | `h2::crumbs_of_cookies_are_joined` |
//! | lengths and bodies | `h2_bodies::*` |
//! | **Host** | |
//! | it stays, or is the route's | `forward::a_request_passes_with_its_method_target_host_and_fields`, `rewrite::a_host_alone_is_rewritten` |
//! | none, two, or none by the letter | `smuggling::a_missing_or_repeated_or_broken_host_is_refused`, `http1::a_client_of_http_1_0_need_not_name_a_host` |
//! | the absolute form | `forward::an_absolute_target_decides_the_host`, `http1::an_absolute_target_may_have_no_path`, `http1_peers::curl_gets_what_it_asks_for_in_every_way` |
//! | **Via** | |
//! | appended, with the version that came | `forward::via_is_appended`, `h2_plain::one_port_speaks_both_versions` |
//! | loops | `forward::a_request_that_goes_in_circles_is_508` |
//! | **`X-Forwarded-*`, `Forwarded`, `X-Real-IP`** | |
//! | of those whom nobody trusts | `forward::what_an_untrusted_client_says_of_itself_is_replaced`, `src/listener/peer/tests.rs::an_untrusted_peer_never_influences_the_answer` |
//! | of trusted proxies | `forward::what_a_trusted_client_says_is_appended_to` |
//! | who is the client; what is no address | `forward::the_client_is_the_last_address_that_is_no_trusted_proxys`, `src/listener/peer/tests.rs::no_claim_outdoes_what_a_trusted_proxy_adds`, `src/listener/peer/tests.rs::a_hidden_or_malformed_node_leaves_the_peer` |
//! | one source, never both | `http1::where_forwarded_is_the_source_it_is_believed_and_appended_to`, `src/listener/peer/tests.rs::only_the_chosen_field_is_believed` |
//! | **The PROXY protocol** | |
//! | off, required, from trusted proxies | `proxy_protocol::where_it_is_off_it_is_no_request`, `proxy_protocol::where_it_is_required_nobody_comes_in_without_it`, `proxy_protocol::from_trusted_proxies_it_is_taken_and_others_connect_themselves` |
//! | both versions | `proxy_protocol::the_client_is_who_the_header_names`, `src/listener/proxy_protocol/tests.rs::any_two_addresses_come_back_from_either_version` |
//! | LOCAL | `proxy_protocol::the_balancer_itself_may_ask_for_its_own` |
//! | its time, and TLS behind it | `src/listener/proxy_protocol/tests.rs::a_header_that_does_not_come_to_its_end_is_not_waited_for`, `proxy_protocol::tls_begins_behind_it` |
//! | **Interim answers (1xx)** | |
//! | all are passed on, 103 too | `interplay::interim_answers_are_passed_on`, `upstream_http2::hints_pass_to_a_client_of_http_1`, `http1_peers::curl_gets_what_it_asks_for_in_every_way` |
//! | not to HTTP/1.0; over HTTP/2 they end here | `http1::interim_answers_are_not_for_http_1_0`, `http1::interim_answers_end_here_for_clients_of_http_2` |
//! | without an end | `bounds::interim_answers_without_an_end_are_withstood`, `upstream_http2_failures::endless_hints_are_a_502` |
//! | **`Expect: 100-continue`** | |
//! | the body waits for the endpoint's word | `expect::nobody_is_told_to_go_on_before_the_endpoint_says_so`, `interplay::a_client_that_expects_100_gets_it_from_the_origin`, `upstream_http2::a_body_waits_for_the_endpoints_word`, `http1_peers::curl_waits_to_be_told_to_send_its_large_body` |
//! | a second at most | `expect::a_client_is_told_to_go_on_when_the_endpoint_never_says_so`, `upstream_http2::a_client_is_told_to_go_on_when_the_endpoint_never_says_so` |
//! | a refusal instead | `interplay::a_client_that_expects_100_may_get_its_refusal_instead`, `expect::after_a_refusal_the_connection_is_closed` |
//! | who does not wait; HTTP/1.0; HTTP/2; anything else | `expect::a_client_that_does_not_wait_is_told_nothing`, `expect::what_a_client_of_http_1_0_expects_is_ignored`, `expect::a_client_of_http_2_that_does_not_wait_is_served`, `expect::nothing_else_can_be_expected` |
//! | **Trailers** | |
//! | both ways, over both versions | `framing::chunks_and_trailers_pass_both_ways`, `h2::trailers_pass_both_ways`, `upstream_http2::trailers_pass_both_ways`, `http1_peers::curl_gets_what_it_asks_for_in_every_way` |
//! | never as a part of the head | `framing::a_trailer_cannot_bring_in_what_belongs_to_a_head`, `h2_bodies::trailers_that_belong_into_a_head_are_not_passed_on`, `edits::what_is_removed_from_a_head_does_not_come_in_its_trailers` |
//! | not to HTTP/1.0; without an end | `http1::an_unsized_answer_to_http_1_0_ends_with_its_connection_and_has_no_trailers`, `bounds::trailers_without_an_end_are_withstood` |
//! | **Bodies** | |
//! | as they come | `interplay::an_answer_is_passed_on_as_it_comes`, `interplay::a_request_is_passed_on_as_it_comes`, `interplay::both_bodies_may_be_under_way_at_the_same_time` |
//! | at the pace of whoever is slower, in bounded memory | `streaming::a_client_that_does_not_read_holds_the_origin_back`, `streaming::an_origin_that_does_not_read_holds_the_client_back`, `streaming::a_large_answer_passes_in_bounded_memory`, `streaming::a_large_request_passes_in_bounded_memory` |
//! | an answer before the end of the request | `interplay::an_answer_before_the_end_of_the_request_is_passed_on_at_once`, `upstream_http2::an_answer_passes_before_the_request_is_through` |
//! | an own answer before the end of the request | `unread::*` |
//! | **Changes of protocol** | |
//! | WebSocket and nothing else | `upgrade::a_websocket_passes`, `upgrade::nothing_but_websocket_is_something_to_upgrade_to`, `upgrade::a_change_to_anything_else_than_was_asked_for_is_502`, `h2_plain::an_upgrade_to_h2c_is_not_taken_and_not_passed_on` |
//! | half-closed, idle, counted | `upgrade::either_side_may_end_while_the_other_goes_on`, `upgrade::an_idle_tunnel_is_closed_in_time`, `upgrade::tunnels_are_counted` |
//! | from HTTP/2 (RFC 8441) | `websocket_h2::*`, `websocket_h2_tunnel::*`, `websocket_peers::websockets_pass_to_a_server_of_http_1` |
//! | to HTTP/2 (RFC 8441) | `websocket_upstream_h2::*`, `websocket_upstream_h2_tunnel::*`, `websocket_peers::websockets_pass_to_a_server_of_http_2` |
//! | **Methods** | |
//! | CONNECT and TRACE are refused | `framing::connect_and_trace_are_not_for_this_proxy`, `unread::what_follows_a_connect_is_no_request`, `http1::who_is_refused_for_a_method_is_told_the_others`, `websocket_h2::other_protocols_and_plain_connect_are_refused` |
//! | `OPTIONS *` is answered here | `http1::options_of_everything_asks_the_proxy_itself` |
//! | any other is passed on, and is no label | `forward::a_request_passes_with_its_method_target_host_and_fields`, `admin_metrics::no_request_makes_a_series_of_its_own` |
//! | HEAD, 204, 304 | `framing::the_answer_to_head_keeps_its_length_and_has_no_body`, `http1::the_answer_to_head_has_no_body_however_it_is_framed`, `framing::answers_that_have_no_body_leave_the_connection_in_step`, `http1::a_length_goes_on_with_304_and_not_with_204` |
//! | **Early data** | `tls::nothing_is_taken_before_a_handshake_is_done` |
//! | **Versions and order** | |
//! | HTTP/1.0 | `framing::a_client_of_http_1_0_is_served_and_its_connection_closed`, `framing::a_client_of_http_1_0_may_keep_its_connection`, `framing::an_answer_of_http_1_0_is_passed_on_as_1_1`, `http1_peers::python_speaks_to_python` |
//! | others | `smuggling::another_version_of_http_is_refused_as_such` |
//! | pipelines | `framing::requests_in_a_pipeline_are_answered_in_order`, `http1::a_pipeline_ends_with_what_is_no_request_or_the_last_one` |
//! | **Limits** | |
//! | heads, fields, targets, bodies | `limits::a_head_that_is_too_long_is_431`, `limits::too_many_fields_are_431`, `limits::a_target_that_is_too_long_is_414`, `limits::a_body_whose_length_is_too_large_is_413_before_it_comes`, `limits::chunks_that_grow_too_large_are_413_and_never_ended`, `h2_heads::heads_past_the_limits_are_refused` |
//! | streams, and how fast they are reset (CVE-2023-44487) | `h2::more_streams_than_allowed_wait_their_turn`, `bounds::a_client_that_opens_streams_and_resets_them_is_sent_away` |
//! | time | `timeouts::*` |
//! | **TLS** | |
//! | certificates of clients, required or optional | `tls_clients::without_a_certificate_nobody_comes_in`, `tls_clients::a_certificate_may_be_optional_but_not_wrong`, `tls_clients::openssl_comes_in_with_a_certificate_and_not_without` |
//! | what is told of them, and by nobody else | `tls_clients::the_upstream_is_told_who_a_client_is_and_not_what_it_says`, `tls_clients::what_clients_say_of_certificates_goes_nowhere_on_any_listener`, `h2::trailers_pass_both_ways` |
//! | versions, suites, key exchange | `tls::both_versions_of_tls_are_spoken`, `tls_terms::a_version_that_is_too_old_is_not_spoken`, `tls_terms::what_is_listed_is_what_clients_get_in_that_order`, `tls_terms::keys_are_exchanged_in_a_way_that_outlives_quantum_computers_where_clients_can` |
//! | endpoints: whom to believe | `tls_upstream::who_has_not_the_right_certificate_is_not_spoken_to`, `tls_upstream::without_an_authority_of_its_own_an_upstream_is_believed_as_the_system_says`, `tls_certificates::an_upstream_that_would_trust_the_system_needs_a_system_that_trusts_somebody`, `tls_upstream::without_verification_anybody_is_believed_and_everybody_warned` |
//! | endpoints: the name that is asked for, our certificate | `tls_upstream::the_name_that_is_asked_for_is_the_one_that_is_set_or_else_the_hosts`, `tls_upstream::a_client_certificate_is_shown_to_who_asks_for_it`, `tls_peers::both_sides_prove_who_they_are_all_the_way` |
//! | when certificates end; chains | `tls_certificates::the_end_of_every_certificate_is_told`, `tls_certificates::check_follows_the_chains_that_openssl_makes` |
//! | **Names of endpoints** | |
//! | times to live within bounds; the last good set | `names::a_lifetime_is_honoured_within_its_bounds`, `names::a_failure_takes_nothing_away_and_is_seen` |
//! | A, AAAA, SRV; other name servers | `names::both_families_of_addresses_are_used`, `names::a_service_tells_hosts_ports_and_which_of_them_count`, `names::other_name_servers_are_asked_after_a_reload` |
//! | who goes is drained | `names::endpoints_follow_their_name_and_those_that_went_are_drained`, `names::a_tunnel_with_an_endpoint_that_went_stays` |
//! | consistent hashing | `consistent_hash::a_key_has_its_endpoint_on_every_worker_and_every_instance_in_any_order`, `consistent_hash::only_the_keys_of_an_endpoint_that_goes_move_and_they_come_back` |
//! | **Logs** | |
//! | JSON, common, combined; fields, samples, masks | `access_log::a_request_is_a_line_of_json`, `access_log::common_and_combined_are_read_by_what_reads_apaches`, `access_log::a_line_has_the_fields_that_are_chosen_and_nothing_that_is_masked`, `access_log::of_successes_a_sample_is_written_and_of_failures_all` |
//! | SIGUSR1 | `access_log::a_file_that_was_renamed_is_opened_anew_by_a_signal_and_no_line_is_lost` |
//! | ids, and trace context | `request_id::every_request_has_an_id_of_its_own_upstream_and_in_the_log`, `request_id::the_id_of_a_trusted_proxy_is_kept`, `request_id::trace_context_passes_as_it_came_and_a_valid_trace_is_logged` |

use std::fs;
use std::path::Path;

use regex::Regex;

/// The names in the table: where a test is, and what it is called.
fn named() -> Vec<(String, String)> {
    let text = include_str!("rules.rs");
    let rows = text.lines().filter(|line| line.starts_with("//! |"));
    let pattern = Regex::new("`([a-z0-9_/.]+)::([a-z0-9_*]+)`").expect("a pattern");
    let names = rows.flat_map(|row| {
        let found = pattern.captures_iter(row);
        found.map(|name| (name[1].to_owned(), name[2].to_owned()))
    });
    names.collect()
}

/// The names of the tests in a file.
fn tests_in(place: &str) -> Vec<String> {
    let file = match place.contains('/') {
        true => place.to_owned(),
        false => format!("tests/it/{place}.rs"),
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{place}: {error}"));
    let pattern = Regex::new(r"(?m)^\s*(?:async )?fn ([a-z0-9_]+)\(").expect("a pattern");
    // What stands behind an attribute of a test, with others between them.
    let plain = text.split("test]\n").skip(1);
    let with_arguments = text.split("test(").skip(1);
    let tests = plain.chain(with_arguments);
    let names = tests.filter_map(|rest| pattern.captures(rest));
    names.map(|name| name[1].to_owned()).collect()
}

#[test]
fn every_test_that_the_table_names_exists() {
    let named = named();
    assert!(named.len() > 120, "{}", named.len());
    for (place, name) in named {
        let tests = tests_in(&place);
        let exists = match name.strip_suffix('*') {
            Some(start) => tests.iter().any(|test| test.starts_with(start)),
            None => tests.contains(&name),
        };
        assert!(exists, "{place} has no test {name}");
    }
}

#[test]
fn a_test_that_is_not_there_would_be_missed() {
    let tests = tests_in("rules");
    assert!(tests.contains(&"every_test_that_the_table_names_exists".to_owned()));
    assert!(!tests.contains(&"tests_in".to_owned()), "{tests:?}");
    assert!(!tests_in("framing").contains(&"in_front_of".to_owned()));
}
