//! The steps of a release as a bar: `[##--] 2/4 25 %`.

use crate::admin::wire::ReleaseRow;

/// The most cells of a bar: with more steps, a cell stands for several.
const CELLS: usize = 12;

/// How far a release is, with the share of its candidate.
pub(in crate::cli) fn progress(release: &ReleaseRow) -> String {
    let n_steps = release.n_steps;
    let reached = match release.step {
        _ if release.phase == "promoted" => n_steps,
        Some(step) => step.min(n_steps),
        None => 0,
    };
    let cells = n_steps.min(CELLS);
    let full = (reached * cells).checked_div(n_steps).unwrap_or_default();
    format!(
        "[{}{}] {reached}/{n_steps} {}",
        "#".repeat(full),
        "-".repeat(cells - full),
        percent(release.weight_percent),
    )
}

/// A share in percent, as the API has it: `25 %`, `0.5 %`.
pub(in crate::cli) fn percent(percent: f64) -> String {
    format!("{percent} %")
}

#[cfg(test)]
mod tests {
    use crate::admin::wire::ReleaseRow;
    use crate::cli::steps::progress;

    fn row(phase: &str, step: Option<usize>, n_steps: usize, percent: f64) -> ReleaseRow {
        serde_json::from_value(serde_json::json!({
            "id": "shop-2.0.0", "revision": 1, "route": "shop", "stable": "stable",
            "candidate": "canary", "kind": "canary", "phase": phase, "is_active": true,
            "attempt": 1, "step": step, "n_steps": n_steps, "weight_percent": percent,
            "created_at": "", "entered_at": "",
        }))
        .unwrap()
    }

    #[track_caller]
    fn check(phase: &str, step: Option<usize>, n_steps: usize, percent: f64, expected: &str) {
        assert_eq!(progress(&row(phase, step, n_steps, percent)), expected);
    }

    #[test]
    fn a_cell_is_a_step() {
        check("progressing", Some(2), 4, 25.0, "[##--] 2/4 25 %");
        check("pending", None, 4, 0.0, "[----] 0/4 0 %");
        check("promoted", Some(4), 4, 100.0, "[####] 4/4 100 %");
        check("aborted", Some(3), 4, 0.0, "[###-] 3/4 0 %");
    }

    #[test]
    fn a_bar_has_a_bound_and_is_full_at_the_end_alone() {
        check(
            "progressing",
            Some(99),
            100,
            0.25,
            "[###########-] 99/100 0.25 %",
        );
        check(
            "baking",
            Some(100),
            100,
            100.0,
            "[############] 100/100 100 %",
        );
    }
}
