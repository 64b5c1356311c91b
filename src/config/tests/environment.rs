//! `${NAME}` in values.

use crate::config::AccessLogOutput;
use crate::config::tests::{config, refused};

#[track_caller]
fn output(text: &str, expected: &str) {
    let config = config(&format!("[access_log]\noutput = {text}\n"));
    let expected = AccessLogOutput::File(format!("/{expected}").into());
    assert_eq!(config.access_log.output, expected, "{text}");
}

#[test]
fn a_variable_stands_for_itself_or_a_part_of_a_value() {
    output("\"/${A}\"", "one");
    output("\"/a-${A}-${A}.log\"", "a-one-one.log");
    output("'/a-${A}'", "a-one");
    for escape in [
        "\\u0024{A}",
        "\\U00000024{A}",
        "\\x24{A}",
        "\\u0024\\u007bA}",
    ] {
        output(&format!("\"/{escape}\""), "one");
    }
}

#[test]
fn a_default_stands_where_there_is_nothing() {
    output("\"/${NOBODY:-two}\"", "two");
    output("\"/${EMPTY:-two}\"", "two");
    output("\"/${A:-two}\"", "one");
    output("\"/${EMPTY}x\"", "x");
    output("\"/${NOBODY:-}x\"", "x");
    output("\"/${NOBODY:-a:-b}\"", "a:-b");
}

#[test]
fn what_is_no_reference_is_left_alone() {
    output("\"/$${A}\"", "${A}");
    output("\"/$${A}-${A}-$A-$\"", "${A}-one-$A-$");
}

#[test]
fn a_number_may_come_from_the_environment_and_only_from_there() {
    let read =
        config("[runtime]\nworkers = \"${NUMBER}\"\n[metrics]\nbuckets = [\"${NUMBER}.5\"]\n");
    assert_eq!(read.runtime.workers, 17);
    assert_eq!(read.metrics.buckets, [17.5]);
    refused(
        "[runtime]\nworkers = \"17\"\n",
        &["2:11 runtime.workers: \"17\" is not a whole number from 0 to 1024"],
    );
    refused(
        "[runtime]\nworkers = \"${A}\"\n",
        &["2:11 runtime.workers: \"${A}\" (here \"one\") is not a whole number from 0 to 1024"],
    );
}

#[test]
fn what_cannot_be_put_in_is_told_at_its_place() {
    refused(
        "[access_log]\noutput = \"/${NOBODY}\"\n[listener.a]\naddress = \"127.0.0.1:1\"\n\
         trusted_proxies = [\"${\", \"${}\", \"${1A}\", \"${A-B}\", \"${BYTES}\"]\n",
        &[
            "2:10 access_log.output: the environment variable NOBODY is not set, and there is no \
             default (${NOBODY:-default})",
            "5:20 listener.a.trusted_proxies[0]: \"${\" without \"}\"; \"$${\" stands for the text \
             itself",
            "5:26 listener.a.trusted_proxies[1]: \"\" is no name of an environment variable; ${NAME} or \
             ${NAME:-default} belongs here",
            "5:33 listener.a.trusted_proxies[2]: \"1A\" is no name of an environment variable; ${NAME} or \
             ${NAME:-default} belongs here",
            "5:42 listener.a.trusted_proxies[3]: \"A-B\" is no name of an environment variable; ${NAME} \
             or ${NAME:-default} belongs here",
            "5:52 listener.a.trusted_proxies[4]: the environment variable BYTES is not UTF-8",
        ],
    );
}
