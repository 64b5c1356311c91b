//! What is no TOML, what is no text, and what is no configuration whatever it holds.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;

use crate::config::load;
use crate::config::tests::{read, refused};

#[test]
fn syntax_errors_have_their_place() {
    refused(
        "[route.x]\nupstream = base\n",
        &["2:12: string values must be quoted, expected literal string"],
    );
    refused(
        "[runtime]\nworkers = 1\nworkers = 2\n",
        &["3:1: duplicate key"],
    );
    refused("[upstream.base]\n", &["5:11: duplicate key"]);
}

#[test]
fn an_empty_file_lacks_a_listener() {
    let missing =
        "/etc/tidegate/t.toml:1:1 listener: missing; at least one [listener.NAME] belongs here";
    assert_eq!(read("").unwrap_err(), missing);
    assert_eq!(read("# nothing\n").unwrap_err(), missing);
    assert_eq!(
        read("[listener]\n").unwrap_err(),
        "/etc/tidegate/t.toml:1:2 listener: empty; at least one [listener.NAME] belongs here"
    );
}

#[test]
fn a_file_that_is_no_text_is_refused_at_its_first_wrong_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    fs::write(&path, b"# fine\n# \xc3\xa4 \xff\n").unwrap();
    assert_eq!(
        load(&path).unwrap_err().to_string(),
        format!("{}:2:5: byte 0xff is not UTF-8", path.display())
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    assert_eq!(
        load(Path::new("/nowhere/t.toml")).unwrap_err().to_string(),
        "/nowhere/t.toml: cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(
        load(Path::new("/dev/zero")).unwrap_err().to_string(),
        "/dev/zero: cannot be read: larger than 64MiB"
    );
}

#[test]
fn a_file_from_windows_is_read() {
    let text = "\u{feff}[listener.http]\r\naddress = \"[::]:80\"\r\n";
    let config = read(text).unwrap();
    assert_eq!(config.listeners["http"].address.to_string(), "[::]:80");
}

#[test]
fn a_problem_is_one_line_whatever_stands_in_the_text() {
    refused(
        "[route.x]\nupstream = \"base\"\nmatch = { path_regex = \"(\\n\" }\n\
         [runtime]\n\"a\\r\\nb\" = 1\n",
        &[
            "3:24 route.x.match.path_regex: `(\\n` is not a regular expression: unclosed group",
            "5:1 runtime.\"a\\r\\nb\": unknown key (known here: workers, io)",
        ],
    );
}

#[test]
fn a_problem_is_told_once() {
    refused(
        "[route.x]\nupstream = \"base\"\nmatch = { hosts = [\"*\"], path_regx = \"/\" }\n",
        &[
            "3:20 route.x.match.hosts[0]: `*` is not a host: leave `hosts` out to catch any host",
            "3:26 route.x.match.path_regx: unknown key, did you mean path_regex? (known here: hosts, \
             path, path_exact, path_regex, methods, headers, query, client_ip, scheme)",
        ],
    );
    let said = [
        "2:19: unclosed array, expected `]`",
        "2:19: unclosed inline table, expected `}`",
    ];
    let unclosed = read("[runtime]\nworkers = {a=[{b=[").unwrap_err();
    let unclosed: Vec<&str> = unclosed
        .lines()
        .map(|line| &line["/etc/tidegate/t.toml:".len()..])
        .collect();
    assert_eq!(unclosed, said);
}

/// Pieces of configurations, to be put together at random.
fn pieces() -> impl Strategy<Value = String> {
    let known = [
        "[listener.http]\n",
        "[listener.http.tls]\n",
        "[upstream.a]\n",
        "[route.r]\n",
        "[route.r.split]\n",
        "[route.r.match]\n",
        "[metrics]\n",
        "address = \"127.0.0.1:80\"\n",
        "endpoints = [\"127.0.0.1:1\", 5]\n",
        "certificates = [{ cert = \"a\" }, 1]\n",
        "v = { upstream = \"a\", weight = 1 }\n",
        "hosts = [\"*.a.com\", \"b\"]\n",
        "path_regex = \"(\"\n",
        "headers = { a = true, \"b c\" = { regex = \"[\" } }\n",
        "buckets = [1, 0.5, nan, 0x10, 1e400]\n",
        "weight = -1\n",
        "workers = 99999999999999999999\n",
        "sticky = { keys = [\"header:\", 1], cookie = {} }\n",
        "upstream = \"ä\"\n",
        "= ",
        "\"\"\"",
        "[[",
        "{",
    ];
    let known = (0..known.len()).prop_map(move |n| known[n].to_owned());
    prop_oneof![4 => known, 1 => any::<String>(), 1 => Just(String::from("\n"))]
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text: String) {
        let _ = read(&text);
    }

    #[test]
    fn no_mixture_is_too_strange(pieces in vec(pieces(), 0..20)) {
        let _ = read(&pieces.concat());
    }

    #[test]
    fn no_damage_to_the_reference_is_too_strange(
        places in vec((any::<Index>(), any::<char>()), 1..6),
    ) {
        let mut text: Vec<char> = include_str!("../../../config/tidegate.toml").chars().collect();
        for (place, new) in places {
            let place = place.index(text.len());
            text[place] = new;
        }
        let text: String = text.into_iter().collect();
        if let Err(problems) = read(&text) {
            assert!(!problems.is_empty());
        }
    }
}
