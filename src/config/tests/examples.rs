//! Every file in `config/` is loaded.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::load;
use crate::tls::fixture;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

#[test]
fn every_example_is_loaded() {
    // What they name is beside them: in a folder where it can be made.
    let copies = tempfile::tempdir().unwrap();
    let certs = copies.path().join("certs");
    fs::create_dir(&certs).unwrap();
    for name in ["shop", "api", "grpc"] {
        fixture::write_pair(&certs, name, &["localhost"]);
    }
    // Parts of others are no configuration by themselves.
    for beside in ["conf.d", "pages"] {
        fs::create_dir(copies.path().join(beside)).unwrap();
        for entry in fs::read_dir(folder().join(beside)).unwrap() {
            let path = entry.unwrap().path();
            let copy = copies.path().join(beside).join(path.file_name().unwrap());
            fs::copy(&path, &copy).unwrap();
        }
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_name().unwrap().to_owned();
        let copy = copies.path().join(&name);
        fs::copy(&path, &copy).unwrap();
        let loaded = load(&copy).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(!loaded.config.routes.is_empty(), "{name:?}");
        let name = name.into_string().unwrap();
        match name.as_str() {
            "include.toml" => assert!(loaded.config.routes.contains_key("shop")),
            // Nothing in it is hardly meant, wherever it is loaded.
            "routing.toml"
            | "canary-release.toml"
            | "blue-green-release.toml"
            | "gated-release.toml"
            | "flags.toml" => assert_eq!(loaded.warnings, []),
            _ => {}
        }
        names.push(name);
    }
    for name in [
        "tidegate",
        "quickstart",
        "canary",
        "blue-green",
        "canary-release",
        "blue-green-release",
        "gated-release",
        "segments",
        "flags",
        "routing",
        "tls",
        "include",
        "grpc",
    ] {
        assert!(names.contains(&format!("{name}.toml")), "{names:?}");
    }
}
