//! UNIX sockets: where listeners and endpoints may be.

use crate::config::tests::{read, refused};

const REST: &str = "[upstream.a]\nendpoints = [\"127.0.0.1:1\"]\n[route.a]\nupstream = \"a\"\n";

fn listener(keys: &str) -> String {
    format!("[listener.http]\n{keys}\n{REST}")
}

#[test]
fn a_listener_may_be_at_a_unix_socket_with_rights_of_its_own() {
    for (keys, mode) in [
        ("address = \"unix:/run/a.sock\"", 0o660),
        ("address = \"unix:/run/a.sock\"\nmode = \"0600\"", 0o600),
        ("address = \"unix:/run/a.sock\"\nmode = \"666\"", 0o666),
    ] {
        let config = read(&listener(keys)).unwrap();
        let http = &config.listeners["http"];
        assert_eq!(http.address.to_string(), "unix:/run/a.sock");
        assert_eq!(http.mode, mode);
        assert_eq!(
            config.effective()["listener"]["http"]["mode"],
            format!("{mode:04o}")
        );
    }
}

#[test]
fn what_is_no_path_or_no_rights_is_refused() {
    let long = "/a".repeat(54);
    for (keys, message) in [
        (
            "address = \"unix:\"".to_owned(),
            "2:11 listener.http.address: \"unix:\" is not \"unix:\" and a path without quotes, backslashes \
             and control characters"
                .to_owned(),
        ),
        (
            format!("address = \"unix:{long}\""),
            format!(
                "2:11 listener.http.address: \"unix:{}… is a path of 108 bytes; that of a UNIX socket \
                 has at most 107",
                &long[..54]
            ),
        ),
        (
            "address = \"unix:/a\"\nmode = \"rw\"".to_owned(),
            "3:8 listener.http.mode: \"rw\" is not rights of a file, such as \"0660\"".to_owned(),
        ),
        (
            "address = \"127.0.0.1:1\"\nmode = \"0660\"".to_owned(),
            "3:1 listener.http.mode: has no effect on an address of TCP".to_owned(),
        ),
    ] {
        refused(&listener(&keys), &[&message]);
    }
}

#[test]
fn two_listeners_are_not_at_one_socket() {
    let two = "[listener.a]\naddress = \"unix:/a\"\n[listener.b]\naddress = \"unix:/a\"\n";
    refused(
        &format!("{two}{REST}"),
        &["3:11 listener.b: unix:/a is the address of listener a already"],
    );
}

#[test]
fn an_endpoint_may_be_at_a_unix_socket_beside_the_file() {
    let text = format!(
        "[listener.http]\naddress = \"127.0.0.1:1\"\n{}",
        REST.replace("127.0.0.1:1", "unix:run/a.sock")
    );
    let config = read(&text).unwrap();
    let endpoint = config.upstreams["a"].endpoints[0].to_string();
    assert!(
        endpoint.starts_with("unix:") && endpoint.ends_with("run/a.sock"),
        "{endpoint}"
    );
}
