//! Samples of a Prometheus text page.

/// The samples of one scrape.
pub(crate) struct Metrics {
    /// The page as it came.
    pub(crate) text: String,
}

impl Metrics {
    /// The sum of all samples of a family that have all of these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples(name, labels).iter().sum()
    }

    /// True when the family has a sample with all of these labels.
    pub(crate) fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        !self.samples(name, labels).is_empty()
    }

    /// The values of the samples of a family that have all of these labels.
    fn samples(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let wanted: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        self.text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                let (family, labels) = series.split_once('{').unwrap_or((series, ""));
                let has = |label: &String| {
                    labels
                        .trim_end_matches('}')
                        .split(',')
                        .any(|part| part == label)
                };
                let right = family == name && wanted.iter().all(has);
                right.then(|| value.parse().expect("a number"))
            })
            .collect()
    }
}
