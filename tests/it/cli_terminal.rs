//! The command line on a terminal: what is drawn, and that nothing of it is left behind.

use std::fs;

use rustix::process::Signal;

use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::terminal::{self, Terminal};
use crate::support::wait;

/// Shows the cursor again, and leaves the alternate screen.
const CLEAN: &str = "\x1b[?25h\x1b[?1049l";

async fn proxy() -> (Pair, Proxy) {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([3, 1], "")).await;
    (pair, proxy)
}

/// Starts `top` on a terminal and waits until its table is there.
async fn top(proxy: &Proxy, size: (u16, u16)) -> Terminal {
    let admin = proxy.admin_url();
    let arguments = ["top", "--interval", "100ms", "--admin", &admin];
    let terminal = terminal::start(size, &arguments, |_| {});
    shows(&terminal, "canary").await;
    terminal
}

async fn shows(terminal: &Terminal, what: &str) {
    wait::until(what, async || {
        terminal.frame().iter().any(|line| line.contains(what))
    })
    .await;
}

#[tokio::test]
async fn q_ends_top_and_the_terminal_is_as_before() {
    let (_pair, proxy) = proxy().await;
    let mut terminal = top(&proxy, (100, 20)).await;
    assert!(!terminal.is_as_before(), "keys come one by one");
    terminal.press("xq");
    let exit = terminal.exit().await;
    assert_eq!(exit.code, Some(0), "{}", terminal.complaints());
    assert!(terminal.is_as_before());
    wait::until("the last table", async || {
        let sent = terminal.sent();
        let after = sent.split_once(CLEAN).map(|(_, after)| after);
        after.is_some_and(|after| after.contains("canary"))
    })
    .await;
}

#[tokio::test]
async fn a_signal_ends_top_and_the_terminal_is_as_before() {
    let (_pair, proxy) = proxy().await;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut terminal = top(&proxy, (100, 20)).await;
        terminal.signal(signal);
        let exit = terminal.exit().await;
        assert_eq!(exit.code, Some(0), "{}", terminal.complaints());
        assert!(terminal.is_as_before(), "{signal:?}");
        wait::until("a clean screen", async || terminal.sent().contains(CLEAN)).await;
    }
}

#[tokio::test]
async fn a_paused_top_gives_the_terminal_back_and_takes_it_again() {
    let (_pair, proxy) = proxy().await;
    let mut terminal = top(&proxy, (100, 20)).await;
    terminal.signal(Signal::TSTP);
    let path = format!("/proc/{}/status", terminal.id());
    wait::until("that it stands still", async || {
        let status = fs::read_to_string(&path).expect("a process");
        status.lines().any(|line| line.starts_with("State:\tT"))
    })
    .await;
    assert!(terminal.is_as_before());
    wait::until("a clean screen", async || terminal.sent().contains(CLEAN)).await;
    terminal.signal(Signal::CONT);
    wait::until("that keys are taken again", async || {
        !terminal.is_as_before()
    })
    .await;
    shows(&terminal, "canary").await;
    terminal.press("q");
    assert_eq!(terminal.exit().await.code, Some(0));
    assert!(terminal.is_as_before());
}

#[tokio::test]
async fn a_frame_fits_the_terminal_also_when_that_changes() {
    let (_pair, proxy) = proxy().await;
    let mut terminal = top(&proxy, (150, 20)).await;
    shows(&terminal, "UPSTREAM").await;
    terminal.resize(50, 7);
    wait::until("a smaller frame", async || {
        let frame = terminal.frame();
        let fits = frame.iter().all(|line| line.chars().count() <= 50);
        frame.len() == 7 && fits && frame[6].contains("q ends")
    })
    .await;
    terminal.resize(50, 6);
    shows(&terminal, "1 more variant; ").await;
    terminal.press("q");
    assert_eq!(terminal.exit().await.code, Some(0));
}

#[tokio::test]
async fn keys_choose_what_comes_first() {
    let (_pair, proxy) = proxy().await;
    let mut terminal = top(&proxy, (100, 20)).await;
    shows(&terminal, "by rate").await;
    for (key, name) in [("e", "by errors"), ("l", "by latency"), ("n", "by name")] {
        terminal.press(key);
        shows(&terminal, name).await;
    }
    // Arrows and other keys that are no letters do nothing.
    terminal.press("\x1b[A\x1bOQ \r");
    terminal.press("r");
    shows(&terminal, "by rate").await;
    terminal.press("q");
    assert_eq!(terminal.exit().await.code, Some(0));
}

#[tokio::test]
async fn an_instance_that_goes_away_is_said_to_be_so_and_its_last_numbers_stay() {
    let (_pair, proxy) = proxy().await;
    let mut terminal = top(&proxy, (150, 20)).await;
    drop(proxy);
    shows(&terminal, "cannot connect").await;
    shows(&terminal, "canary").await;
    terminal.press("q");
    assert_eq!(terminal.exit().await.code, Some(0));
}

#[tokio::test]
async fn colours_on_a_terminal_are_for_those_who_want_them() {
    let (_pair, proxy) = proxy().await;
    let admin = proxy.admin_url();
    let inked = |sent: &str| sent.contains("\x1b[1m") || sent.contains("\x1b[2m");
    for (variable, value, expected) in [("A", "b", true), ("NO_COLOR", "1", false)] {
        let arguments = ["top", "-n", "1", "--interval", "100ms", "--admin", &admin];
        let mut terminal = terminal::start((100, 20), &arguments, |command| {
            command.env(variable, value);
        });
        assert_eq!(terminal.exit().await.code, Some(0));
        wait::until("a clean screen", async || terminal.sent().contains(CLEAN)).await;
        assert_eq!(inked(&terminal.sent()), expected, "{variable}");
    }
}

#[tokio::test]
async fn a_terminal_that_knows_no_sequences_gets_none() {
    let (_pair, proxy) = proxy().await;
    let admin = proxy.admin_url();
    for arguments in [
        &["top", "-n", "2", "--interval", "100ms", "--admin", &admin][..],
        &["demo", "--weights", "--seconds", "2"],
        &["--help"],
    ] {
        let mut terminal = terminal::start((100, 20), arguments, |command| {
            command.env("TERM", "dumb");
        });
        assert_eq!(terminal.exit().await.code, Some(0));
        wait::until("some lines", async || {
            terminal.sent().contains("canary") || terminal.sent().contains("Usage")
        })
        .await;
        assert!(!terminal.sent().contains('\u{1b}'), "{}", terminal.sent());
        assert!(terminal.is_as_before());
    }
}

#[tokio::test]
async fn the_demo_is_drawn_over_and_gives_the_cursor_back() {
    let mut terminal = terminal::start((100, 40), &["demo", "--weights"], |_| {});
    wait::until("a view that is drawn over", async || {
        let sent = terminal.sent();
        sent.contains("\x1b[?25l") && sent.matches("connections   ").count() > 2
    })
    .await;
    terminal.signal(Signal::INT);
    let exit = terminal.exit().await;
    assert_eq!(exit.code, Some(0), "{}", terminal.complaints());
    wait::until("the cursor", async || {
        let sent = terminal.sent();
        sent.ends_with("\x1b[?25h") && sent.contains(" requests in ")
    })
    .await;
    assert!(terminal.is_as_before());
}
