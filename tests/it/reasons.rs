//! What the README tells people about what went wrong.

use tidegate::telemetry::stats::ErrorReason;

#[test]
fn the_readme_says_what_each_reason_means() {
    let readme = include_str!("../../README.md");
    let table = readme.lines().filter(|line| line.starts_with("| `"));
    let first_cells: Vec<_> = table.filter_map(|line| line.split('|').nth(1)).collect();
    for reason in ErrorReason::ALL {
        let name = format!("`{}`", reason.label());
        let is_told = first_cells.iter().any(|cell| cell.contains(&name));
        assert!(is_told, "{name}");
    }
}
