//! Certificates that are named: what keeps a configuration from being loaded, and what is warned of.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

use crate::config::load;
use crate::tls::fixture;

/// What is said of a configuration in a folder, without the folder: problems, or else warnings.
struct Said {
    problems: Vec<String>,
    warnings: Vec<String>,
}

#[track_caller]
fn said(folder: &TempDir, text: &str) -> Said {
    let base =
        "\n[upstream.base]\nendpoints = [\"127.0.0.1:9000\"]\n[route.base]\nupstream = \"base\"\n";
    let path = folder.path().join("t.toml");
    fs::write(&path, format!("{text}{base}")).unwrap();
    let place = format!("{}/", folder.path().display());
    let without = |text: String| text.replace(&place, "");
    match load(&path) {
        Ok(loaded) => Said {
            problems: Vec::new(),
            warnings: loaded
                .warnings
                .iter()
                .map(|warning| without(warning.to_string()))
                .collect(),
        },
        Err(problems) => Said {
            problems: problems
                .iter()
                .map(|problem| without(problem.to_string()))
                .collect(),
            warnings: Vec::new(),
        },
    }
}

/// A listener with these pairs of files.
fn listener(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(cert, key)| format!("{{ cert = \"{cert}.crt\", key = \"{key}.key\" }}"))
        .collect();
    format!(
        "[listener.https]\naddress = \"127.0.0.1:0\"\n[listener.https.tls]\ncertificates = [\n{}\n]\n",
        pairs.join(",\n")
    )
}

/// A listener without TLS, and the TLS of the upstream.
fn upstream(keys: &str) -> String {
    format!("[listener.http]\naddress = \"127.0.0.1:0\"\n[upstream.base.tls]\n{keys}\n")
}

/// Writes authorities to `ca.pem`, those with a year until the end of it.
fn authorities(folder: &Path, until: &[i32]) {
    let mut pem = String::new();
    for (n, &year) in until.iter().enumerate() {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("ca{n}"));
        params.not_after = date_time_ymd(year, 1, 1);
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        pem.push_str(&own.pem());
    }
    fs::write(folder.join("ca.pem"), pem).unwrap();
}

#[test]
fn what_cannot_be_served_is_refused_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fixture::write_pair(folder.path(), name, &["a.test"]);
    }
    fixture::write_pair(folder.path(), "address", &["192.0.2.1"]);
    fs::write(folder.path().join("empty.crt"), "").unwrap();
    fs::write(folder.path().join("empty.key"), "").unwrap();
    let check = |pairs: &[(&str, &str)], expected: &str| {
        assert_eq!(said(&folder, &listener(pairs)).problems, [expected]);
    };
    check(
        &[("a", "b")],
        "t.toml:5:25 listener.https.tls.certificates[0].key: b.key does not hold the key of the \
         certificate in a.crt",
    );
    check(
        &[("empty", "a")],
        "t.toml:5:10 listener.https.tls.certificates[0].cert: empty.crt holds no certificate in PEM \
         form",
    );
    check(
        &[("a", "empty")],
        "t.toml:5:25 listener.https.tls.certificates[0].key: empty.key holds no unencrypted private \
         key in PEM form",
    );
    check(
        &[("a", "a"), ("address", "address")],
        "t.toml:6:10 listener.https.tls.certificates[1].cert: the certificate in address.crt has no \
         DNS name in subjectAltName, so no client could ask for it; only the first one of a listener \
         may have none",
    );
    // What is not there is told once.
    let missing = said(&folder, &listener(&[("a", "missing")])).problems;
    assert_eq!(missing.len(), 1, "{missing:?}");
    // All of them are told.
    let both = said(&folder, &listener(&[("a", "b"), ("empty", "a")])).problems;
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn a_certificate_that_is_never_shown_for_a_name_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    fixture::write_pair(folder.path(), "a", &["a.test"]);
    fixture::write_pair(folder.path(), "b", &["b.test", "A.test"]);
    assert_eq!(
        said(&folder, &listener(&[("a", "a"), ("b", "b")])).warnings,
        [
            "t.toml:6:10 listener.https.tls.certificates[1].cert: b.crt: no client gets it for a.test, \
             which certificates[0] is for, with a key of the same kind"
        ]
    );
    // One with a key of another kind is for other clients.
    let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    fixture::write_pair_of(folder.path(), "b", &["a.test"], &other);
    assert_eq!(
        said(&folder, &listener(&[("a", "a"), ("b", "b")])).warnings,
        [""; 0]
    );
}

#[test]
fn a_key_that_everybody_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let pair = fixture::write_pair(folder.path(), "a", &["a.test"]);
    for (mode, n) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
        fs::set_permissions(&pair.key, Permissions::from_mode(mode)).unwrap();
        let warnings = said(&folder, &listener(&[("a", "a")])).warnings;
        assert_eq!(warnings.len(), n, "{mode:o} {warnings:?}");
        for warning in warnings {
            assert_eq!(
                warning,
                "t.toml:5:25 listener.https.tls.certificates[0].key: a.key: everybody on this machine \
                 can read the private key; take the right away"
            );
        }
    }
}

#[test]
fn certificates_that_do_not_hold_are_warned_of_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    fixture::write_pair(folder.path(), "new", &["new.test"]);
    let mut params = CertificateParams::new(vec!["old.test".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2001, 1, 1);
    let old = params.self_signed(&key).unwrap().pem();
    fixture::write_pair_of(folder.path(), "old", &["old.test"], &key);
    fs::write(folder.path().join("old.crt"), old).unwrap();
    let text = listener(&[("new", "new"), ("old", "old")]);
    let [warning] = said(&folder, &text).warnings.try_into().unwrap();
    let place = "t.toml:6:10 listener.https.tls.certificates[1].cert: old.crt: the certificate expired \
                 on 2001-01-01T00:00:00Z, ";
    assert!(warning.starts_with(place), "{warning}");

    let keys = "ca = \"ca.pem\"\ncert = \"old.crt\"\nkey = \"old.key\"";
    authorities(folder.path(), &[3000]);
    let [warning] = said(&folder, &upstream(keys)).warnings.try_into().unwrap();
    let place = "t.toml:5:8 upstream.base.tls.cert: old.crt: the certificate expired on";
    assert!(warning.starts_with(place), "{warning}");
}

#[test]
fn authorities_that_cannot_be_used_are_refused_and_those_that_expired_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), "nothing").unwrap();
    let text = upstream("ca = \"ca.pem\"");
    assert_eq!(
        said(&folder, &text).problems,
        ["t.toml:4:6 upstream.base.tls.ca: ca.pem holds no certificate in PEM form"]
    );
    authorities(folder.path(), &[3000, 2001]);
    let [warning] = said(&folder, &text).warnings.try_into().unwrap();
    let place =
        "t.toml:4:6 upstream.base.tls.ca: ca.pem: certificate 2, CN=ca1, expired on 2001-01-01";
    assert!(warning.starts_with(place), "{warning}");
    // Of many, a few are told and how many there are.
    authorities(folder.path(), &[3000, 2001, 2002, 2003, 2004, 2005]);
    let warnings = said(&folder, &text).warnings;
    assert_eq!(warnings.len(), 4);
    assert!(
        warnings[3]
            .ends_with("ca.pem: 5 of 6 authorities have expired, do not hold yet or expire soon"),
        "{warnings:?}"
    );

    fixture::write_pair(folder.path(), "a", &["a.test"]);
    let clients = format!("{}client_ca = \"a.key\"\n", listener(&[("a", "a")]));
    assert_eq!(
        said(&folder, &clients).problems,
        ["t.toml:7:13 listener.https.tls.client_ca: a.key holds no certificate in PEM form"]
    );
}
