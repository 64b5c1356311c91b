//! What a plan tells of flags and of their releases.

use crate::config::plan::Plan;
use crate::config::tests::config;

/// The effects, a line each.
fn effects(old: &str, new: &str) -> Vec<String> {
    let plan = Plan::new(&config(old), &config(new));
    let effects = plan.effects.iter();
    let lines = effects.map(|it| format!("{}: {}", it.key, it.message));
    // A store that is there or not is another matter.
    lines.filter(|line| !line.starts_with("store")).collect()
}

#[test]
fn a_flag_that_comes_or_goes_is_told_of() {
    assert_eq!(
        effects("[flag.a]\n", "[flag.\"b.c\"]\n[flag.d]\nenabled = false\n"),
        [
            "flag.\"b.c\": is found from then on; whom no rule is for gets off",
            "flag.d: is found from then on; it is not enabled, so everybody gets off",
            "flag.a: is not found any more: who asks for it gets what its own code has",
        ]
    );
}

#[test]
fn who_gets_another_variant_of_a_flag_is_told_exactly() {
    let flag = |on: u32, keys: &str| {
        let off = 100 - on;
        format!("[flag.a]\nrules = [{{ split = {{ on = {on}, off = {off} }}{keys} }}]\n")
    };
    let gives_way = "flag.a: what was set of it at run time gives way to the file, but for a kill";
    let of = |share: &str| {
        format!("flag.a: {share} of those who are in no segment of its rules get another variant")
    };
    assert_eq!(
        effects(&flag(10, ""), &flag(25, "")),
        [of("15 %"), gives_way.to_owned()]
    );
    assert_eq!(
        effects("[flag.a]\n", &flag(10, "")),
        [of("10 %"), gives_way.to_owned()]
    );
    // With another salt, or by another key, they are assigned anew: who is on in one and off in the
    // other.
    for keys in [", salt = \"x\"", ", bucket_by = \"org\""] {
        assert_eq!(
            effects(&flag(50, ""), &flag(50, keys)),
            [of("50 %"), gives_way.to_owned()]
        );
    }
    // In other numbers it is the same.
    let same = "[flag.a]\nrules = [{ split = { on = 1, off = 9 } }]\n";
    assert_eq!(effects(&flag(10, ""), same), [""; 0]);
    // What is for people decides nothing.
    let owner = "[flag.a]\nowner = \"ana\"\nexpires = 2099-01-01\n";
    assert_eq!(effects("[flag.a]\n", owner), [""; 0]);
}

#[test]
fn a_flag_that_is_turned_off_or_of_another_type_is_told_of() {
    let gives_way = "flag.a: what was set of it at run time gives way to the file, but for a kill";
    let (on, off) = ("[flag.a]\n", "[flag.a]\nenabled = false\n");
    assert_eq!(
        effects(on, off),
        ["flag.a.enabled: everybody gets off", gives_way]
    );
    assert_eq!(
        effects(off, on),
        ["flag.a.enabled: its rules decide again", gives_way]
    );
    let text = "[flag.a]\ntype = \"string\"\nvariants = { on = \"1\", off = \"0\" }\n";
    assert_eq!(
        effects(on, text),
        [
            "flag.a.type: programs that ask for a value of the type boolean get what their own code \
             has",
            gives_way
        ]
    );
}

#[test]
fn a_release_of_a_flag_is_told_of_as_one() {
    let flag = "[flag.a]\n";
    let release = "[release.r]\nflag = \"a\"\nstable = \"off\"\ncandidate = \"on\"\n\
                   strategy = { kind = \"blue-green\", analysis = false }\n";
    let with = format!("{flag}{release}");
    assert_eq!(
        effects(flag, &with),
        ["release.r: starts as soon as nothing speaks against it: flag a, from off to on"]
    );
    assert_eq!(
        effects(&with, flag),
        ["release.r: is aborted if it is under way: flag a goes back to off"]
    );
}
