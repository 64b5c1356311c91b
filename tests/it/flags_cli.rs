//! Flags by the command line, as people and pipelines use it, on the real binary.

use std::fs;

use tempfile::TempDir;

use crate::support::command;
use crate::support::instance::Instance;

/// A flag that is on for one country, and one that was to be gone long ago.
const FLAGS: &str = r#"
[store]
path = "state"

[segment.germans]
any = [{ all = [{ attr = "country", op = "eq", value = "DE" }] }]

[flag.new-checkout]
type = "boolean"
owner = "team-shop"
kill_switch = true
variants = { on = true, off = false }
off_variant = "off"
default_variant = "off"
rules = [{ name = "germans", segment = "germans", serve = "on" }]
"#;

const OLD: &str = r#"
[flag.old-cart]
type = "string"
expires = 2020-01-01
variants = { one = "1", two = "2" }
off_variant = "one"
default_variant = "two"
"#;

#[tokio::test]
async fn a_flag_is_killed_and_comes_back() {
    let it = Instance::start(FLAGS).await;
    let german = ["flag", "eval", "new-checkout", "--context", "country=DE"];
    let before = it.run(&german).await;
    let expected = "value    true\nvariant  on\nreason   TARGETING_MATCH: rule \"germans\"\n";
    assert_eq!(Instance::done(&before), expected);
    let why = ["flag", "kill", "new-checkout"];
    let nameless = it.run(&why).await;
    assert_eq!(nameless.code, 2, "{nameless:?}");
    assert!(nameless.stderr.contains("--reason"), "{nameless:?}");
    let killed = it
        .run(&[&why[..], &["--reason", "it burns"]].concat())
        .await;
    assert_eq!(
        Instance::done(&killed),
        "new-checkout: off, decided by a kill of local (it burns)\n"
    );
    let after = it.json(&german).await;
    assert_eq!(
        (&after["value"], &after["cause"]),
        (&false.into(), &"killed".into())
    );
    let list = it.run(&["flag", "ls"]).await;
    let row = Instance::done(&list).lines().nth(1).expect("a flag");
    for part in ["new-checkout", "boolean", "killed", "off", "team-shop"] {
        assert!(row.contains(part), "{part}: {row}");
    }
    let drift = it.run(&["drift", "--exit-code"]).await;
    assert_eq!(drift.code, 1, "{drift:?}");
    assert!(
        drift.stdout.contains("killed by local: it burns"),
        "{drift:?}"
    );

    let back = ["flag", "unkill", "new-checkout", "--reason", "mended"];
    let back = it.run(&back).await;
    assert_eq!(
        Instance::done(&back),
        "new-checkout: 1 rule, else off, decided by the file\n"
    );
    Instance::done(&it.run(&["drift", "--exit-code"]).await);
    let history = it.run(&["flag", "history", "new-checkout"]).await;
    let rows: Vec<&str> = Instance::done(&history).lines().skip(1).collect();
    assert!(
        rows[0].contains("flag.unkill") && rows[0].contains("mended"),
        "{rows:?}"
    );
    assert!(
        rows[1].contains("flag.kill") && rows[1].contains("it burns"),
        "{rows:?}"
    );
}

#[tokio::test]
async fn a_flag_is_switched_and_overridden_for_a_while() {
    let it = Instance::start(FLAGS).await;
    let over = [
        "flag",
        "override",
        "new-checkout",
        "on=1",
        "off=0",
        "--reason",
        "a try",
    ];
    let set = it.run(&[&over[..], &["--expires", "2h"]].concat()).await;
    assert!(
        Instance::done(&set)
            .starts_with("new-checkout: off=0 on=1, decided by local (a try) until "),
        "{set:?}"
    );
    let keyed = [
        "flag",
        "eval",
        "new-checkout",
        "--context",
        "targetingKey=u1",
    ];
    let split = it.json(&keyed).await;
    assert_eq!(
        (&split["variant"], &split["cause"]),
        (&"on".into(), &"override".into())
    );
    let shown = it.run(&["flag", "get", "new-checkout"]).await;
    assert!(
        Instance::done(&shown).contains("override  off=0 on=1 by local (a try)"),
        "{shown:?}"
    );
    let clear = ["flag", "clear", "new-checkout", "--reason", "tried"];
    let cleared = it.run(&clear).await;
    assert!(
        Instance::done(&cleared).ends_with("decided by the file\n"),
        "{cleared:?}"
    );
    let again = it.run(&clear).await;
    assert_eq!(again.code, 1, "{again:?}");

    let off = ["flag", "disable", "new-checkout", "--reason", "noise"];
    let off = it.run(&off).await;
    assert_eq!(
        Instance::done(&off),
        "new-checkout: off, decided by local (noise), who disabled it\n"
    );
    let on = ["flag", "enable", "new-checkout", "--reason", "quiet"];
    let on = it.run(&on).await;
    assert!(
        Instance::done(&on).ends_with("decided by the file\n"),
        "{on:?}"
    );
}

#[tokio::test]
async fn what_has_changed_meanwhile_is_left_alone() {
    let it = Instance::start(FLAGS).await;
    let kill = ["flag", "kill", "new-checkout", "--reason", "it burns"];
    Instance::done(&it.run(&kill).await);
    let stale = it.run(&[&kill[..], &["--if-match", "0"]].concat()).await;
    assert_eq!(stale.code, 1, "{stale:?}");
    assert!(stale.stderr.contains("412"), "{stale:?}");
    let unknown = it.run(&["flag", "get", "new-chekout"]).await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(
        unknown.stderr.contains("did you mean \"new-checkout\"?"),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_decision_is_explained_by_an_instance_and_by_a_file_alone() {
    let it = Instance::start(FLAGS).await;
    let explain = ["flag", "explain", "new-checkout", "--context", "country=FR"];
    let told = it.run(&explain).await;
    let told = Instance::done(&told);
    for part in [
        "variant  off\nreason   DEFAULT: default\n",
        "rule         germans (segment germans): its segment does not hold",
        "      - country",
        "default: decided: off (DEFAULT)",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let file = it.proxy.file();
    let file = file.to_str().expect("a path");
    let offline = command::run(&[&explain[..], &["--config", file]].concat()).await;
    assert_eq!(Instance::done(&offline), told);
    let json = [
        "--context-json",
        "{\"country\": \"DE\"}",
        "--config",
        file,
        "--json",
    ];
    let offline = command::run(&[&["flag", "eval", "new-checkout"], &json[..]].concat()).await;
    assert!(
        Instance::done(&offline).contains("\"TARGETING_MATCH\""),
        "{offline:?}"
    );
    for wrong in ["[]", "{"] {
        let eval = ["flag", "eval", "new-checkout", "--context-json", wrong];
        let refused = command::run(&[&eval[..], &["--config", file]].concat()).await;
        assert_eq!(refused.code, 2, "{refused:?}");
    }
}

#[tokio::test]
async fn a_stale_flag_is_told_to_a_pipeline_by_the_exit_code() {
    let it = Instance::start(FLAGS).await;
    let fresh = it.run(&["flag", "stale"]).await;
    assert_eq!(Instance::done(&fresh), "no flag is stale\n");
    let it = Instance::start(&format!("{FLAGS}{OLD}")).await;
    let stale = it.run(&["flag", "stale"]).await;
    assert_eq!(stale.code, 1, "{stale:?}");
    let row = stale.stdout.lines().nth(1).expect("a flag");
    assert!(
        row.contains("old-cart") && row.contains("expired"),
        "{stale:?}"
    );
    let json = it.run(&["flag", "stale", "--json"]).await;
    assert_eq!(json.code, 1, "{json:?}");
    assert!(json.stdout.contains("\"old-cart\""), "{json:?}");
}

#[tokio::test]
async fn code_that_names_a_flag_is_found_by_an_instance_and_by_a_file_alone() {
    let it = Instance::start(&format!("{FLAGS}{OLD}")).await;
    let dir = TempDir::new().expect("a directory");
    fs::create_dir_all(dir.path().join("src")).expect("a folder");
    let code = "const a = 1;\nif (client.getBooleanValue('new-checkout', false)) {\n";
    fs::write(dir.path().join("src/cart.ts"), code).expect("a file");
    let path = dir.path().to_str().expect("a path");
    let references = ["flag", "references", path];
    let found = it.run(&references).await;
    let found = Instance::done(&found);
    assert!(found.contains("new-checkout  src/cart.ts:2:29"), "{found}");
    assert!(
        found.ends_with("1 files looked at; none names old-cart\n"),
        "{found}"
    );
    let file = it.proxy.file();
    let file = file.to_str().expect("a path");
    let offline = command::run(&[&references[..], &["--config", file]].concat()).await;
    assert_eq!(Instance::done(&offline), found);
    // One that is in no file any more can be looked for, too.
    let gone = [&references[..], &["--flag", "new-checkout", "--exit-code"]].concat();
    let named = command::run(&gone).await;
    assert_eq!(named.code, 1, "{named:?}");
    let gone = [&references[..], &["--flag", "older", "--exit-code"]].concat();
    Instance::done(&command::run(&gone).await);
}
