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
    for name in ["shop", "api"] {
        fixture::write_pair(&certs, name, &["localhost"]);
    }
    // Parts of others are no configuration by themselves.
    fs::create_dir(copies.path().join("conf.d")).unwrap();
    for entry in fs::read_dir(folder().join("conf.d")).unwrap() {
        let path = entry.unwrap().path();
        let copy = copies.path().join("conf.d").join(path.file_name().unwrap());
        fs::copy(&path, &copy).unwrap();
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
        if name == "include.toml" {
            assert!(loaded.config.routes.contains_key("shop"));
        }
        names.push(name);
    }
    for name in [
        "tidegate",
        "quickstart",
        "canary",
        "blue-green",
        "segments",
        "tls",
        "include",
    ] {
        assert!(names.contains(&format!("{name}.toml")), "{names:?}");
    }
}
