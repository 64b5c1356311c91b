//! A check's numbers as one sentence for a person.

use std::f64::consts::LN_10;

use crate::release::analysis::{
    Arms, Baseline, CheckReport, CheckVerdict, Kind, Restart, Settings, Tally, Users,
};

/// The sentence of a report whose other fields are complete.
pub(crate) fn sentence(report: &CheckReport, settings: &Settings, users: Option<Users>) -> String {
    let seen = seen(report, settings, users);
    let mut text = match report.verdict {
        CheckVerdict::Fail => format!("{seen}: {}", against(report)),
        CheckVerdict::Untrusted => format!(
            "stable differs from itself, so nothing is concluded: evidence {}, {} needed; {seen}",
            power(report.guard_ln_e.unwrap_or(0.0)),
            power(report.ln_e_needed)
        ),
        CheckVerdict::Idle => "does not look in a step like this".to_owned(),
        CheckVerdict::Insufficient => insufficient(report, &seen),
        CheckVerdict::NoRegression => {
            format!("{seen}: nothing speaks against it, {}", against(report))
        }
        CheckVerdict::Proven => format!(
            "{seen}: shown to be good, evidence {}, {} needed",
            power(report.pass_ln_e),
            power(report.pass_ln_e_needed)
        ),
    };
    if report.phi > 1.05 && report.verdict != CheckVerdict::Idle {
        text += &format!(
            "; bad requests come in clumps, evidence counts 1/{:.1}",
            report.phi
        );
    }
    match report.restarted {
        Some(Restart::Settings) => text += "; evidence began anew when the check was changed",
        Some(Restart::Baseline) => text += "; evidence began anew with another baseline",
        Some(Restart::Bounds) => text += "; evidence began anew with other buckets",
        None => {}
    }
    if report.dry_run {
        text += "; a dry run, decides nothing";
    }
    text
}

fn insufficient(report: &CheckReport, seen: &str) -> String {
    let n = report.step.candidate.requests;
    if report.ln_e >= report.ln_e_needed {
        return format!(
            "{seen}: worse, but by less than matters; {}",
            against(report)
        );
    }
    if matches!(report.kind, Kind::Latency { .. }) && report.latency.is_none() {
        return "insufficient: too few requests to the baseline to tell what is slow".to_owned();
    }
    if n < report.needed_requests {
        let (n, needed) = (count(n), count(report.needed_requests));
        return format!("insufficient: {n} of {needed} requests; {seen}");
    }
    format!(
        "{seen}: nothing speaks against it so far, {}",
        against(report)
    )
}

/// What was seen of both arms.
fn seen(report: &CheckReport, settings: &Settings, users: Option<Users>) -> String {
    let Arms {
        candidate,
        baseline,
    } = report.step;
    let with = match &settings.baseline {
        Baseline::Stable => "stable",
        Baseline::Slice => "the slice of stable",
        Baseline::Variant(name) => name,
    };
    let before = match users {
        Some(Users::AllOnCandidate) => " before the step",
        Some(Users::Divided | Users::AllOnStable) | None => "",
    };
    match &report.kind {
        Kind::ErrorRate { .. } => format!(
            "candidate fails {}, {with} {}{before}",
            share(candidate),
            share(baseline)
        ),
        Kind::Latency { .. } => {
            let threshold = report.latency.map_or(0.0, |latency| latency.threshold);
            format!(
                "candidate is slower than {} in {}, {with} in {}{before}",
                time(threshold),
                share(candidate),
                share(baseline)
            )
        }
        Kind::Absolute { max, .. } => format!(
            "candidate fails {}, {} allowed",
            share(candidate),
            percent(*max)
        ),
        Kind::Mismatch { max } => format!(
            "candidate answers differently in {}, {} allowed",
            share(candidate),
            percent(*max)
        ),
    }
}

fn against(report: &CheckReport) -> String {
    let (evidence, needed) = (power(report.ln_e), power(report.ln_e_needed));
    format!("evidence {evidence}, {needed} needed")
}

fn share(tally: Tally) -> String {
    match tally.rate() {
        Some(rate) => format!("{} of {} requests", percent(rate), count(tally.requests)),
        None => "none of 0 requests".to_owned(),
    }
}

/// A share with two digits that say something: `4.8 %`, `0.52 %`, `0.0031 %`.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent >= 0.995 || percent <= 0.0 {
        return format!("{percent:.1} %");
    }
    let decimals = (1.0 - percent.log10().floor()).clamp(1.0, 9.0) as usize;
    format!("{percent:.decimals$} %")
}

/// A natural logarithm as a power of ten.
fn power(ln: f64) -> String {
    let exponent = format!("{:.1}", ln / LN_10);
    let exponent = if exponent == "-0.0" { "0.0" } else { &exponent };
    format!("10^{exponent}")
}

/// A whole number in groups of three.
fn count(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{} ms", (seconds * 1e5).round() / 1e2);
    }
    format!("{} s", (seconds * 1e3).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use crate::release::analysis::text::{count, percent, power, time};

    #[test]
    fn numbers_are_short_and_say_something() {
        let shares = [0.048, 0.005_2, 0.000_031, 0.0, 1.0, 0.009_99, 0.123_45];
        let expected = [
            "4.8 %", "0.52 %", "0.0031 %", "0.0 %", "100.0 %", "1.0 %", "12.3 %",
        ];
        assert_eq!(shares.map(percent), expected);
        assert_eq!(
            [0.0, 999.0, 1204.0, 23_110.4, 1e6].map(count),
            ["0", "999", "1,204", "23,110", "1,000,000"]
        );
        assert_eq!(
            [7.138, 4.605_17, -0.01, -2.31].map(power),
            ["10^3.1", "10^2.0", "10^0.0", "10^-1.0"]
        );
        assert_eq!(
            [0.25, 0.000_5, 1.5, 60.0].map(time),
            ["250 ms", "0.5 ms", "1.5 s", "60 s"]
        );
    }
}
