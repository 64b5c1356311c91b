//! Every file in `config/` is loaded.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::load;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

#[test]
fn every_example_is_loaded() {
    // What they name is beside them: in a folder where it can be made.
    let copies = tempfile::tempdir().unwrap();
    fs::create_dir(copies.path().join("certs")).unwrap();
    for name in ["shop", "api"] {
        for kind in ["crt", "key"] {
            let file = format!("certs/{name}.{kind}");
            fs::write(copies.path().join(file), "made for a test").unwrap();
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
        names.push(name.into_string().unwrap());
    }
    for name in ["tidegate", "quickstart", "canary", "blue-green", "tls"] {
        assert!(names.contains(&format!("{name}.toml")), "{names:?}");
    }
}
