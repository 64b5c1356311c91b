//! Files that include files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::tests::BASE;
use crate::config::{Loaded, Problems, load};

/// A folder with these files; `t.toml` is the first.
struct Scene {
    _guard: tempfile::TempDir,
    root: PathBuf,
}

fn scene(files: &[(&str, &str)]) -> Scene {
    let guard = tempfile::tempdir().unwrap();
    let root = guard.path().canonicalize().unwrap();
    let scene = Scene {
        _guard: guard,
        root,
    };
    for (name, text) in files {
        scene.write(name, text);
    }
    scene
}

impl Scene {
    fn write(&self, name: &str, text: &str) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn load(&self) -> Result<Loaded, Problems> {
        load(&self.root.join("t.toml"))
    }

    /// What is wrong, a line each, without the folder.
    #[track_caller]
    fn refused(&self, expected: &[&str]) {
        let problems = self.load().unwrap_err().to_string();
        let problems = problems.replace(&format!("{}/", self.root.display()), "");
        assert_eq!(problems.lines().collect::<Vec<_>>(), expected);
    }

    /// The names of the files that it was read from.
    fn files(&self, loaded: &Loaded) -> Vec<String> {
        let files = loaded.sources.files();
        let names = files.map(|file| file.strip_prefix(&self.root).unwrap().display().to_string());
        names.collect()
    }
}

fn upstream(name: &str) -> String {
    format!("[upstream.{name}]\nendpoints = [\"127.0.0.1:1\"]\n")
}

#[test]
fn what_is_included_is_as_if_it_stood_in_the_file() {
    let scene = scene(&[
        (
            "t.toml",
            "include = [\"conf.d/*.toml\", \"more/shop.toml\"]\n[admin]\naddress = \"127.0.0.1:1\"\n",
        ),
        ("conf.d/b.toml", &upstream("b")),
        ("conf.d/a.toml", BASE),
        ("conf.d/c.toml~", "no toml"),
        (
            "more/shop.toml",
            "include = [\"routes/*\"]\n[admin]\ntoken = { file = \"token\" }\n",
        ),
        ("more/token", "open-sesame"),
        (
            "more/routes/1",
            "[route.one]\nmatch = { path = \"/1\" }\nupstream = \"b\"\n",
        ),
        ("more/routes/2", "[route.two]\nupstream = \"base\"\n"),
    ]);
    let loaded = scene.load().unwrap();
    let config = &loaded.config;
    assert_eq!(config.upstreams.keys().collect::<Vec<_>>(), ["b", "base"]);
    assert_eq!(config.routes.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(config.admin.address.port(), 1);
    // Paths are relative to the file that names them.
    assert_eq!(
        config.admin.token.as_ref().unwrap().file(),
        Some(&*scene.root.join("more/token"))
    );
    let files = [
        "conf.d/a.toml",
        "conf.d/b.toml",
        "more/routes/1",
        "more/routes/2",
        "more/shop.toml",
        "more/token",
        "t.toml",
    ];
    assert_eq!(scene.files(&loaded), files);
}

#[test]
fn a_pattern_may_match_nothing_and_a_path_may_not() {
    let scene = scene(&[(
        "t.toml",
        &format!("include = [\"conf.d/*.toml\", \"a?.toml\"]{BASE}"),
    )]);
    scene.load().unwrap();
    scene.write(
        "t.toml",
        &format!("include = [\"*/none\", \"none.toml\", \"x\"]{BASE}"),
    );
    fs::create_dir(scene.root.join("x")).unwrap();
    scene.refused(&[
        "t.toml:1:22 include[1]: none.toml cannot be read: No such file or directory (os error 2)",
        "t.toml:1:35 include[2]: x is a folder; \"x/*.toml\" takes the files in it",
    ]);
}

#[test]
fn what_cannot_be_included_is_told() {
    let scene = scene(&[("t.toml", &format!("include = \"a.toml\"{BASE}"))]);
    scene.refused(&[
        "t.toml:1:11 include: \"a.toml\" is not a list of paths and patterns such as \
         [\"conf.d/*.toml\"]",
    ]);
    scene.write(
        "t.toml",
        &format!("include = [1, \"\", \"**/*.toml\", \"${{NOBODY}}\"]{BASE}"),
    );
    scene.refused(&[
        "t.toml:1:12 include[0]: 1 is not a string",
        "t.toml:1:15 include[1]: \"\" is not the path of a file or a pattern such as \
         \"conf.d/*.toml\"",
        "t.toml:1:19 include[2]: \"**/*.toml\" has \"**\": a pattern goes into as many folders as \
         it has steps, such as \"*/*.toml\"",
        "t.toml:1:32 include[3]: the environment variable NOBODY is not set, and there is no \
         default (${NOBODY:-default})",
    ]);
    scene.write("t.toml", &format!("includes = []{BASE}"));
    let problems = scene.load().unwrap_err().to_string();
    assert!(problems.contains("did you mean include?"), "{problems}");
}

#[test]
fn the_environment_may_say_where_files_are() {
    let scene = scene(&[
        (
            "t.toml",
            &format!("include = [\"${{NOBODY:-conf}}.d/*\"]{BASE}"),
        ),
        ("conf.d/a", &upstream("a")),
    ]);
    assert_eq!(scene.load().unwrap().config.upstreams.len(), 2);
}

#[test]
fn problems_are_told_where_they_are_in_the_order_of_the_files() {
    let scene = scene(&[
        (
            "t.toml",
            &format!("include = [\"a.toml\", \"b.toml\"]\n[admin]\nadress = 1{BASE}"),
        ),
        ("b.toml", "[route.b]\nupstream = \"nobody\"\n"),
        (
            "a.toml",
            "\n# ünicode\n[route.\"ü\".split]\n\n[route.a]\nupstream = \"baze\"\n",
        ),
    ]);
    scene.refused(&[
        "t.toml:3:1 admin.adress: unknown key, did you mean address? (known here: address, token, tokens)",
        "a.toml:3:8 route.\"ü\": \"ü\" is not a name of 1 to 64 letters, digits, \"-\" and \"_\"",
        "a.toml:6:12 route.a.upstream: there is no upstream \"baze\", did you mean \"base\"?",
        "b.toml:2:12 route.b.upstream: there is no upstream \"nobody\"",
    ]);
}

#[test]
fn a_file_that_is_no_toml_or_no_text_is_told_with_all_others() {
    let scene = scene(&[
        ("t.toml", &format!("include = [\"*.part\"]{BASE}")),
        ("a.part", "[route.a\n"),
        ("b.part", "x =\n"),
    ]);
    fs::write(scene.root.join("c.part"), b"ok = 1\n\xc3\xbc\xff").unwrap();
    let problems = scene.load().unwrap_err().to_string();
    let problems = problems.replace(&format!("{}/", scene.root.display()), "");
    let places: Vec<&str> = problems
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        places,
        ["a.part:1:9:", "b.part:1:4:", "c.part:2:2:"],
        "{problems}"
    );
    assert!(
        problems.ends_with("c.part:2:2: byte 0xff is not UTF-8"),
        "{problems}"
    );
}

#[test]
fn what_stands_in_two_files_is_refused_with_both_places() {
    let scene = scene(&[
        (
            "t.toml",
            &format!("include = [\"*.part\"]\n[admin]\naddress = \"127.0.0.1:1\"{BASE}"),
        ),
        (
            "a.part",
            "[admin]\n  address = \"127.0.0.1:1\"\n[upstream.base.pool]\nidle = 1\n",
        ),
        ("b.part", "route = 5\n[runtime]\nworkers = 1\n"),
        (
            "c.part",
            "[route.x]\nupstream = \"base\"\n[runtime]\nworkers = 1\n",
        ),
    ]);
    scene.refused(&[
        "a.part:2:3 admin.address: stands in t.toml:3:1 already",
        "a.part:3:11 upstream.base: stands in t.toml:6:11 already",
        "b.part:1:9 route: 5 is not a table",
        "c.part:1:2 route: stands in b.part:1:1 already",
        "c.part:4:1 runtime.workers: stands in b.part:3:1 already",
    ]);
}

#[test]
fn a_file_is_read_once_whoever_names_it_again() {
    let scene = scene(&[
        (
            "t.toml",
            &format!("include = [\"a.toml\", \"*.toml~\", \"./d/../a.toml\", \"b.toml\"]{BASE}"),
        ),
        ("a.toml", "include = [\"c.toml\"]"),
        ("b.toml", "include = [\"c.toml\"]"),
        ("c.toml", &upstream("c")),
        ("d/e", ""),
    ]);
    symlink("c.toml", scene.root.join("link.toml~")).unwrap();
    assert_eq!(scene.load().unwrap().config.upstreams.len(), 2);
}

#[test]
fn a_circle_is_refused_with_its_way() {
    let scene = scene(&[
        ("t.toml", &format!("include = [\"a/b.toml\"]{BASE}")),
        ("a/b.toml", "include = [\"../c.toml\"]"),
        ("c.toml", "include = [\"a/*\"]"),
    ]);
    let way = "t.toml includes a/b.toml includes a/../c.toml";
    scene.refused(&[&format!(
        "a/../c.toml:1:12 include[0]: a circle without an end: {way} includes a/../a/b.toml"
    )]);
    let scene = self::scene(&[("t.toml", &format!("include = [\"*.toml\"]{BASE}"))]);
    scene.refused(&["t.toml:1:12 include[0]: a circle without an end: t.toml includes t.toml"]);
}

#[test]
fn files_may_include_files_eight_deep() {
    let scene = scene(&[("t.toml", &format!("include = [\"1\"]{BASE}"))]);
    for depth in 1..8 {
        scene.write(
            &depth.to_string(),
            &format!("include = [\"{}\"]", depth + 1),
        );
    }
    scene.write("8", &upstream("deep"));
    assert!(scene.load().unwrap().config.upstreams.contains_key("deep"));
    scene.write("8", "include = [\"9\"]");
    scene.write("9", "");
    scene.refused(&["8:1:12 include[0]: 9 would be 9 files deep; 8 are allowed"]);
}

#[test]
fn there_are_no_more_than_ten_thousand_files() {
    let scene = scene(&[("t.toml", &format!("include = [\"a/*\", \"b/*\"]{BASE}"))]);
    fs::create_dir(scene.root.join("a")).unwrap();
    fs::create_dir(scene.root.join("b")).unwrap();
    for n in 0..9_999 {
        fs::write(scene.root.join(format!("a/{n}")), "").unwrap();
    }
    scene.load().unwrap();
    scene.write("b/one", "");
    scene.refused(&["t.toml:1:19 include[1]: more than 10000 files"]);
}

#[test]
fn a_link_to_nowhere_is_left_out_with_a_warning() {
    let scene = scene(&[(
        "t.toml",
        &format!("include = [\"*.part\"]{BASE}[route.a]\nupstream = \"base\"\n"),
    )]);
    symlink("nowhere", scene.root.join("a.part")).unwrap();
    let warnings = scene.load().unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!((warnings[0].line, warnings[0].column), (1, 12));
    assert!(
        warnings[0]
            .message
            .ends_with("a.part is a link to nowhere, and left out")
    );
}

#[test]
fn the_hashes_are_of_all_files() {
    let main = format!("include = [\"*.part\"]{BASE}");
    let scene = scene(&[("t.toml", &main), ("a.part", "# a\n"), ("b.part", "# b\n")]);
    let first = scene.load().unwrap();
    let all = format!("{main}# a\n# b\n");
    assert_eq!(first.sha256, <[u8; 32]>::from(Sha256::digest(all)));
    let again = scene.load().unwrap();
    assert_eq!(first.files_sha256, again.files_sha256);
    // The same bytes in all, but not in each.
    scene.write("a.part", "");
    scene.write("b.part", "# a\n# b\n");
    let other = scene.load().unwrap();
    assert_eq!(first.sha256, other.sha256);
    assert_ne!(first.files_sha256, other.files_sha256);
    fs::rename(scene.root.join("b.part"), scene.root.join("c.part")).unwrap();
    assert_ne!(scene.load().unwrap().files_sha256, other.files_sha256);
}

#[test]
fn a_file_that_includes_nothing_has_the_hash_of_its_bytes() {
    let scene = scene(&[("t.toml", BASE)]);
    assert_eq!(
        scene.load().unwrap().sha256,
        <[u8; 32]>::from(Sha256::digest(BASE))
    );
}

#[test]
fn what_is_refused_is_watched_in_all_of_its_files() {
    let scene = scene(&[
        (
            "t.toml",
            &format!("include = [\"a.toml\", \"b.toml\"]{BASE}"),
        ),
        ("a.toml", "[route.a]\nupstream = \"b\"\n"),
    ]);
    let problems = scene.load().unwrap_err();
    let files: Vec<&Path> = problems.sources().files().collect();
    let expected = ["a.toml", "b.toml", "t.toml"].map(|name| scene.root.join(name));
    assert_eq!(files, expected);
}
