//! The files that a configuration names.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::config::{AccessLogOutput, Protocol, Secret, TokenSecret, load, parse};
use crate::message::{RequestHead, Scheme};
use crate::tls::fixture;

const TEXT: &str = "[listener.https]\naddress = \"127.0.0.1:0\"\n[listener.https.tls]\n\
                    certificates = [{ cert = \"certs/a.crt\", key = \"certs/a.key\" }]\n\
                    [admin]\naddress = \"0.0.0.0:0\"\ntoken = { file = \"token\" }\n";

fn arrange(folder: &Path) {
    fs::create_dir(folder.join("certs")).unwrap();
    fixture::write_pair(&folder.join("certs"), "a", &["a.test"]);
    for (name, content) in [("t.toml", TEXT), ("token", " a-long-secret\n")] {
        fs::write(folder.join(name), content).unwrap();
    }
}

#[test]
fn files_are_found_beside_the_file_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    arrange(folder.path());
    let loaded = load(&folder.path().join("t.toml")).unwrap();
    let files: Vec<_> = ["t.toml", "certs/a.crt", "certs/a.key", "token"]
        .map(|name| folder.path().join(name))
        .to_vec();
    let mut found: Vec<_> = loaded.sources.files().collect();
    found.sort_by_key(|found| files.iter().position(|file| file == found));
    assert_eq!(found, files);
    let token = loaded.config.admin.token.unwrap();
    assert_eq!(
        token,
        TokenSecret::of(&Secret::from_file(
            "a-long-secret".to_owned(),
            files[3].clone()
        ))
    );
    let tls = loaded.config.listeners["https"].tls.as_ref().unwrap();
    assert_eq!(tls.certificates[0].key, files[2]);
}

#[test]
fn files_that_cannot_be_read_are_told_where_they_are_named() {
    let folder = tempfile::tempdir().unwrap();
    arrange(folder.path());
    let root = folder.path().display();
    fs::remove_file(folder.path().join("certs/a.key")).unwrap();
    fs::write(folder.path().join("token"), "short\n").unwrap();
    let problems = load(&folder.path().join("t.toml")).unwrap_err();
    assert_eq!(
        problems.to_string(),
        format!(
            "{root}/t.toml:4:47 listener.https.tls.certificates[0].key: {root}/certs/a.key cannot be \
             read: No such file or directory (os error 2)\n\
             {root}/t.toml:7:18 admin.token.file: what {root}/token holds is not 8 to 4096 visible \
             ASCII characters"
        )
    );
    // What is missing may come.
    assert_eq!(problems.sources().files().len(), 4);
    assert!(problems.sources().has(&folder.path().join("certs/a.key")));
}

#[test]
fn the_hash_over_all_files_changes_with_each_of_them() {
    let folder = tempfile::tempdir().unwrap();
    arrange(folder.path());
    let path = folder.path().join("t.toml");
    let first = load(&path).unwrap();
    let again = parse(TEXT.to_owned(), &path).unwrap();
    assert_eq!(first.sha256, again.sha256);
    assert_eq!(first.files_sha256, again.files_sha256);
    fixture::write_pair(&folder.path().join("certs"), "a", &["a.test"]);
    let other = load(&path).unwrap();
    assert_eq!(first.sha256, other.sha256);
    assert_ne!(first.files_sha256, other.files_sha256);
}

#[test]
fn a_listener_with_and_one_without_tls_are_read_with_what_most_people_set() {
    let folder = tempfile::tempdir().unwrap();
    arrange(folder.path());
    let text = "[runtime]\nworkers = 1\n[access_log]\noutput = \"off\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
                [listener.http]\naddress = \"127.0.0.1:8080\"\n\
                [listener.https]\naddress = \"127.0.0.1:8443\"\nprotocols = [\"h2\", \"http/1.1\"]\n\
                [listener.https.tls]\ncertificates = [{ cert = \"certs/a.crt\", key = \"certs/a.key\" }]\n\
                [upstream.blue]\nendpoints = [\"127.0.0.1:9001\"]\n\
                [upstream.green]\nendpoints = [\"127.0.0.1:9002\"]\n\
                [route.all.split]\nblue = { upstream = \"blue\", weight = 95 }\n\
                green = { upstream = \"green\", weight = 5 }\n";
    let loaded = parse(text.to_owned(), &folder.path().join("t.toml")).unwrap();
    let config = loaded.config;
    assert_eq!(config.runtime.workers, 1);
    assert_eq!(config.access_log.output, AccessLogOutput::Off);
    assert_eq!(config.listeners["http"].protocols, [Protocol::Http1]);
    assert_eq!(
        config.listeners["https"].protocols,
        [Protocol::Http2, Protocol::Http1]
    );
    assert_eq!(config.routes["all"].upstreams, ["blue", "green"]);
    let client = Ipv4Addr::LOCALHOST.into();
    assert_eq!(
        config
            .table
            .find(&RequestHead::default(), client, Scheme::Http),
        Some(&0)
    );
}
