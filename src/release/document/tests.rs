//! Documents: one that is read as a whole, and that no text changes what is a table or a heading.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use crate::release::document::markdown::{code, inline, quotation};
use crate::release::document::{
    Contents, EvidenceRow, GateRow, Happening, HoldRow, Progress, Step, render,
};
use crate::release::gate::{Approval, GateState, Ignored, Item, Open, Rejected, Waiting, Why};
use crate::release::readiness::{ChangeType, Documents, Exception, Review, Risk};
use crate::release::role::{Role, Roles};

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000 + second)
}

fn approval(by: &str, reason: &str) -> Approval {
    Approval {
        by: by.to_owned(),
        reason: reason.to_owned(),
        at: at(60),
        expires_at: None,
    }
}

fn item(criterion: &str, done: bool, detail: &str) -> Item {
    Item {
        criterion: criterion.parse().unwrap(),
        done,
        detail: detail.to_owned(),
    }
}

/// A release in which every text is `text`, but for those that are given.
fn contents(text: &str) -> Contents {
    let own = || text.to_owned();
    let mut review = Review::default();
    let manager: Roles = std::iter::once(Role::ReleaseManager).collect();
    let reason = format!("r{text}");
    review.add(Exception::gate(("sre", "s1"), (text, &manager), &reason, at(90)).unwrap());
    Contents {
        id: own(),
        attempt: 2,
        route: own(),
        stable: own(),
        candidate: own(),
        phase: own(),
        author: Some(own()),
        artifact: Some(own()),
        commit: Some(own()),
        change: ChangeType::Normal,
        risk: Some(Risk::Medium),
        documents: Documents {
            notes: Some(own()),
            rollback_plan: Some(own()),
            procedure: Some(own()),
            ticket: Some(own()),
        },
        steps: vec![Step {
            what: own(),
            progress: Progress::Current,
            gate: Some(own()),
        }],
        gates: vec![
            GateRow {
                name: own(),
                state: Some(GateState::Open(Open {
                    approvals: vec![approval(text, text)],
                    exception: None,
                    checklist: vec![item("notes", true, text)],
                    until: None,
                })),
            },
            GateRow {
                name: own(),
                state: Some(GateState::Rejected(Rejected {
                    by: own(),
                    reason: own(),
                    at: at(61),
                })),
            },
        ],
        holds: vec![HoldRow {
            reason: own(),
            since: at(0),
            detail: own(),
            clears_when: own(),
            who_may_clear: own(),
        }],
        evidence: vec![EvidenceRow {
            check: own(),
            candidate: own(),
            baseline: own(),
            evidence: own(),
            threshold: own(),
            verdict: own(),
        }],
        review,
        timeline: vec![Happening {
            at: at(0),
            actor: own(),
            action: own(),
            detail: own(),
        }],
        written_at: at(120),
    }
}

/// The cells of a row, as a reader of GitHub's dialect sees them (section 4.10): a pipe that no
/// backslash is before ends one, and one that has it is itself.
fn cells(row: &str) -> Vec<String> {
    let inner = row.strip_prefix("| ").unwrap().strip_suffix(" |").unwrap();
    let mut cells = vec![String::new()];
    let mut before = ' ';
    for c in inner.chars() {
        let last = cells.last_mut().unwrap();
        match (before, c) {
            ('\\', '|') => {
                last.pop();
                last.push('|');
            }
            (_, '|') => cells.push(String::new()),
            _ => last.push(c),
        }
        before = c;
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// What a piece of Markdown within a line says, if it is all code or all text.
fn said(markdown: &str) -> String {
    let fence: String = markdown.chars().take_while(|c| *c == '`').collect();
    if !fence.is_empty() {
        let inner = markdown
            .strip_prefix(&fence)
            .unwrap()
            .strip_suffix(&fence)
            .unwrap();
        let runs = inner.split(|c| c != '`').map(str::len);
        assert!(runs.max() < Some(fence.len()), "{markdown}");
        let padded = inner.len() > 2 && inner.starts_with(' ') && inner.ends_with(' ');
        return if padded {
            inner[1..inner.len() - 1].to_owned()
        } else {
            inner.to_owned()
        };
    }
    let mut out = String::new();
    let mut chars = markdown.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().unwrap()),
            c => {
                assert!(!"`*_[]<>#~&".contains(c), "{c} in {markdown}");
                out.push(c);
            }
        }
    }
    out
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[test]
fn a_release_reads_as_one_document() {
    let release = Contents {
        id: "checkout-2.4.0".to_owned(),
        route: "checkout".to_owned(),
        stable: "v2_3".to_owned(),
        candidate: "v2_4".to_owned(),
        phase: "progressing (step 2 of 3)".to_owned(),
        author: Some("ana@example.com".to_owned()),
        artifact: None,
        commit: Some("9f1c".to_owned()),
        documents: Documents {
            notes: Some("# New\n\nA *faster* checkout.\n".to_owned()),
            rollback_plan: None,
            procedure: Some("1. Watch.".to_owned()),
            ticket: Some("CHG-1042".to_owned()),
        },
        steps: vec![
            Step {
                what: "1 % for 10m".to_owned(),
                progress: Progress::Done,
                gate: None,
            },
            Step {
                what: "25 % for 30m, proven".to_owned(),
                progress: Progress::Current,
                gate: Some("sre".to_owned()),
            },
        ],
        gates: vec![
            GateRow {
                name: "sre".to_owned(),
                state: Some(GateState::Waiting(Waiting {
                    have: 1,
                    need: 2,
                    approvals: vec![approval("ben", "p95 | p99 flat")],
                    ignored: vec![Ignored {
                        by: "ana@example.com".to_owned(),
                        at: at(30),
                        why: Why::Author,
                    }],
                    who_may: vec!["sre".parse().unwrap()],
                    checklist: vec![
                        item("notes", true, "there"),
                        item("check:smoke", false, "no result yet: it runs"),
                    ],
                    asked_at: at(0),
                    expires_at: None,
                    overdue: false,
                })),
            },
            GateRow {
                name: "promote".to_owned(),
                state: None,
            },
        ],
        holds: Vec::new(),
        evidence: vec![EvidenceRow {
            check: "errors".to_owned(),
            candidate: "3 of 1200 (0.25 %)".to_owned(),
            baseline: "9 of 3600 (0.25 %)".to_owned(),
            evidence: "-0.9".to_owned(),
            threshold: "4.6".to_owned(),
            verdict: "no-regression".to_owned(),
        }],
        timeline: vec![Happening {
            at: at(0),
            actor: "ana@example.com".to_owned(),
            action: "release.start".to_owned(),
            detail: "as\nplanned".to_owned(),
        }],
        ..contents("mia")
    };
    let expected = "\
# Release checkout-2.4.0

|  |  |
| --- | --- |
| Where it stands | progressing (step 2 of 3) |
| Route | `checkout` |
| From → to | `v2_3` → `v2_4` |
| Artifact | – |
| Commit | `9f1c` |
| Author | ana@example.com |
| Change | emergency (declared normal) |
| Risk | medium |
| Ticket | CHG-1042 |
| Attempt | 2 |

## What and why

> # New
>
> A *faster* checkout.

## Procedure

> 1. Watch.

## Rollback plan

*None given.*

## Plan

|  | Step | Gate | State |
| --- | --- | --- | --- |
| 1 | 1 % for 10m |  | done |
| 2 | 25 % for 30m, proven | `sre` | **now** |

## Approvals

| Gate | Who | When | What | Why |
| --- | --- | --- | --- | --- |
| `sre` | ben | 2025-11-24T16:01:00Z | approved | p95 \\| p99 flat |
| `sre` | ana@example.com | 2025-11-24T16:00:30Z | approved | does not count: the author |
| `sre` |  |  | waits | 1 of 2 approvals by sre; check:smoke: no result yet: it runs |
| `promote` |  |  | not asked yet |  |

Criteria of `sre`:

- [x] `notes`: there
- [ ] `check:smoke`: no result yet: it runs

## Holds

*Nothing holds it.*

## Evidence

| Check | Candidate | Baseline | Evidence | Fails at | Verdict |
| --- | --- | --- | --- | --- | --- |
| `errors` | 3 of 1200 (0.25 %) | 9 of 3600 (0.25 %) | -0.9 | 4.6 | no-regression |

## Review

| Overridden | Who | When | Why |
| --- | --- | --- | --- |
| gate \"sre\" | mia | 2025-11-24T16:01:30Z | rmia |

**The review is open: somebody who overrode nothing has to close it.**

## Timeline

| When | Who | What | Detail |
| --- | --- | --- | --- |
| 2025-11-24T16:00:00Z | ana@example.com | `release.start` | as planned |

---

As of 2025-11-24T16:02:00Z.
";
    assert_eq!(render(&release), expected);
}

#[test]
fn a_review_that_is_closed_says_by_whom() {
    let mut release = contents("mia");
    let approver: Roles = std::iter::once(Role::Approver).collect();
    release
        .review
        .close(("ben", &approver), "it was *right*", at(100))
        .unwrap();
    let written = render(&release);
    assert!(written.contains("\nClosed by ben at 2025-11-24T16:01:40Z: it was \\*right\\*\n"));
    assert!(!written.contains("The review is open"));
}

#[test]
fn a_gate_says_how_it_ended() {
    let mut release = contents("mia");
    let exception = release.review.exceptions()[0].clone();
    let open = |exception| {
        GateState::Open(Open {
            approvals: Vec::new(),
            exception,
            checklist: Vec::new(),
            until: None,
        })
    };
    let timed_out = GateState::TimedOut {
        asked_at: at(0),
        at: at(60),
    };
    let states = [open(Some(exception)), open(None), timed_out];
    release.gates = states
        .into_iter()
        .map(|state| GateRow {
            name: "g".to_owned(),
            state: Some(state),
        })
        .collect();
    let written = render(&release);
    for row in [
        "| `g` | mia | 2025-11-24T16:01:30Z | overrode | rmia |",
        "| `g` |  |  | open: needs nobody |  |",
        "| `g` |  | 2025-11-24T16:01:00Z | timed out |  |",
    ] {
        assert!(
            written.lines().any(|line| line == row),
            "{row} in\n{written}"
        );
    }
}

#[track_caller]
fn quote(text: &str, expected: &str) {
    assert_eq!(quotation(text), expected);
}

#[test]
fn a_quotation_is_as_it_was_written_without_tags_outside_of_code() {
    quote("a `\n\n`<b>`", "> a `\n>\n> `<b>`\n");
    quote("a <b>\n", "> a &lt;b>\n");
    quote("1 < 2 <- 3", "> 1 < 2 <- 3\n");
    quote("`a <b>` <c> ``x ` <d>``", "> `a <b>` &lt;c> ``x ` <d>``\n");
    quote(
        "1. Do:\n   ```sh\n   cat <file\n   ```\n<b>",
        "> 1. Do:\n>    ```sh\n>    cat <file\n>    ```\n> &lt;b>\n",
    );
    quote(
        "~~~\n<a>\n```\n<b>\n~~~~\n<c>",
        "> ~~~\n> <a>\n> ```\n> <b>\n> ~~~~\n> &lt;c>\n",
    );
    quote("```\n<a>", "> ```\n> <a>\n");
    quote("\n\na\u{1b}[1m\r\n\r\nb\n\n", "> a[1m\n>\n> b\n");
}

#[test]
fn what_may_be_no_code_is_taken_for_text() {
    // A span that began in an earlier line, one that is none, and one that a cell cuts.
    quote("`a\n` <b> `", "> `a\n> ` &lt;b> `\n");
    quote("\\`<b>`", "> \\`&lt;b>`\n");
    quote("| ` | <b> ` |", "> | ` | &lt;b> ` |\n");
    // A fence of a list's entry that ends with it, one on the line of its entry, one too deep.
    quote(
        "- a\n  ```\nx <b>\n  ```\n<c>",
        "> - a\n>   ```\n> x &lt;b>\n>   ```\n> &lt;c>\n",
    );
    quote(
        "- ```\n  <b>\n  ```\n  <c>",
        "> - ```\n>   &lt;b>\n>   ```\n>   &lt;c>\n",
    );
    quote("a\n    ```\n    <b>", "> a\n>     ```\n>     &lt;b>\n");
}

/// Texts that are full of what means something to Markdown.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-z ]{1,4}",
        4 => prop::sample::select(vec!["|", "\\", "`", "``", "*", "_", "#", "\n", "\r\n", "<b>", "<!--", "&amp;", "[x](y)", "~~", "---", "> ", "- ", "\t", "\u{7}", "é"]).prop_map(str::to_owned),
        1 => "(?s).{1,3}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_text_within_a_line_is_read_as_it_was(text in text()) {
        prop_assert_eq!(said(&inline(&text)), one_line(&text));
        prop_assert_eq!(said(&code(&text)), one_line(&text));
    }

    #[test]
    fn no_text_makes_or_breaks_a_table_or_a_heading(text in text()) {
        let plain = render(&contents("x"));
        let written = render(&contents(&format!("x{text}")));
        // What is quoted may have any number of lines; what is not has the same ones.
        let outside = |document: &str| -> Vec<String> {
            let lines = document.split_inclusive('\n').filter(|line| !line.starts_with('>'));
            lines.map(|line| line.trim_end_matches('\n').to_owned()).collect()
        };
        let (plain, written) = (outside(&plain), outside(&written));
        prop_assert_eq!(plain.len(), written.len());
        let meant = one_line(&format!("x{text}"));
        for (plain, written) in plain.iter().zip(&written) {
            let marks = |line: &str| line.chars().take_while(|c| "#-| ".contains(*c)).count();
            prop_assert_eq!(marks(plain), marks(written));
            if !plain.starts_with('|') {
                continue;
            }
            let (plain, written) = (cells(plain), cells(written));
            prop_assert_eq!(plain.len(), written.len(), "{:?}", written);
            for (plain, written) in plain.iter().zip(&written) {
                match plain.as_str() {
                    "x" | "`x`" => prop_assert_eq!(said(written), meant.clone()),
                    "rx" => prop_assert_eq!(said(written), format!("r{meant}")),
                    // The names of the variants stand in one cell, with an arrow between them.
                    "`x` → `x`" => prop_assert!(written.contains(" → ")),
                    other => prop_assert_eq!(written, other),
                }
            }
        }
    }

    #[test]
    fn every_line_of_a_quotation_is_quoted(text in text()) {
        for line in quotation(&text).split_terminator('\n') {
            prop_assert!(line == ">" || line.starts_with("> "), "{:?}", line);
        }
    }
}
