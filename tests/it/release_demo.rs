//! The demo of a release, as a new user starts it.

use crate::support::command;
use crate::support::wait;

/// Runs the demo to its end, past what it has to show on the way.
async fn demo(arguments: &[&str], on_the_way: &[&str]) -> String {
    let arguments = [&["demo"], arguments].concat();
    let mut running = command::start(&arguments);
    for part in on_the_way {
        wait::until(part, async || {
            if let Some(exit) = running.process.try_exit() {
                panic!("it ended by itself: {exit:?}");
            }
            running.process.stdout().contains(part)
        })
        .await;
    }
    let exit = running.process.exit().await;
    let text = running.process.stdout();
    assert_eq!(exit.code, Some(0), "{text}{}", running.process.stderr());
    assert!(!text.contains('\u{1b}'), "no terminal, no escapes");
    text
}

#[tokio::test]
async fn the_demo_promotes_a_good_candidate() {
    let on_the_way = [
        "step 2 of 5: 5 %",
        "step 4 of 5: 50 %",
        "step 5 of 5: 100 %",
    ];
    let text = demo(&[], &on_the_way).await;
    for part in [
        "held by approval:go",
        "promoted: ",
        "release.gate.approve",
        "the chain is whole",
        ": 0 failed on the way, 0 answered as bad",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn the_demo_takes_a_bad_candidate_back() {
    let on_the_way = ["step 2 of 5: 5 %", "step 3 of 5: 25 %"];
    let text = demo(&["--bad"], &on_the_way).await;
    for part in [
        "the candidate turns bad",
        "aborted: the check `errors` failed",
        "routes obey: the candidate gets 0 %",
        "release.abort",
        "the chain is whole",
        ": 0 failed on the way",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("step 4 of 5"), "{text}");
}
