//! Near misses: which of the known words was meant by a mistyped one.

/// How many known words are looked at: a hint is worth little, and its price must not grow with
/// the square of a large configuration.
const MAX_CANDIDATES: usize = 1000;

/// Finds the known word that is nearest to `word`, when it is near enough to be meant: up to a
/// third of its letters may be wrong, but not all.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = word.chars().take(64).collect();
    let most = (letters.len() / 3).max(1);
    known
        .take(MAX_CANDIDATES)
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= most)
        .map(|candidate| (distance(&letters, candidate), candidate))
        .filter(|(distance, _)| *distance <= most && *distance < letters.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// What is said behind an unknown word: the known one that was meant, or nothing.
pub(crate) fn hint<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(word, known)
        .map(|near| format!(", did you mean \"{near}\"?"))
        .unwrap_or_default()
}

/// The number of insertions, deletions, replacements and swaps of neighbours that lead from one
/// word to the other (optimal string alignment).
fn distance(left: &[char], right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, &a) in left.iter().enumerate() {
        let mut row = Vec::with_capacity(right.len() + 1);
        row.push(i + 1);
        for (j, &b) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if 0 < i && 0 < j && a == right[j - 1] && left[i - 1] == b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use crate::config::near::nearest;

    #[track_caller]
    fn check(word: &str, expected: Option<&str>) {
        let known = ["weight", "upstream", "state", "to"];
        assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
    }

    #[test]
    fn a_near_miss_is_recognised() {
        check("wieght", Some("weight"));
        check("weigth", Some("weight"));
        check("wight", Some("weight"));
        check("upstreams", Some("upstream"));
        check("stat", Some("state"));
        check("ot", Some("to"));
    }

    #[test]
    fn a_word_that_is_far_from_all_gets_no_hint() {
        check("colour", None);
        check("", None);
        check("t", None);
        check("headers", None);
    }
}
