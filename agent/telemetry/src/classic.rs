//! From OpenMetrics text to the classic text format: `prometheus-client` writes the first only.
//!
//! Both are lines of metadata and samples. They differ in the names of counters and infos (in OpenMetrics the
//! family's name lacks the sample's suffix), in `# UNIT` and `# EOF`, in the type words and in exemplars.

use std::collections::HashMap;
use std::fmt::Write as _;

/// Content type of the text that [`merge`] and [`crate::Metrics::encode`] return.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric with everything that belongs to it.
#[derive(Default)]
struct Family<'a> {
    help: &'a str,
    kind: &'static str,
    samples: Vec<&'a str>,
}

/// The families in the order in which they came.
#[derive(Default)]
struct Page<'a> {
    order: Vec<String>,
    families: HashMap<String, Family<'a>>,
}

/// Joins texts, each OpenMetrics or classic, into one classic text: every family once, its samples together, and
/// samples that an earlier text already has left out.
pub fn merge(texts: &[&str]) -> String {
    let mut page = Page::default();
    for text in texts {
        page.read(text);
    }
    page.write()
}

impl<'a> Page<'a> {
    fn read(&mut self, text: &'a str) {
        // Metadata names the family before its samples; `current` is the family the samples are added to.
        let (mut bare, mut help) = ("", "");
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                (bare, help) = rest.split_once(' ').unwrap_or((rest, ""));
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
                let (name, kind) = classic_type(name, kind);
                let known = bare == name || name.strip_prefix(bare).is_some_and(|rest| rest.starts_with('_'));
                current = name;
                self.describe(&current, if known { help } else { "" }, kind);
            } else if !line.is_empty() && !line.starts_with('#') {
                let sample = without_exemplar(line);
                let name = sample_name(sample);
                if current.is_empty() || !name.starts_with(current.as_str()) {
                    current = name.to_owned();
                    self.describe(&current, "", "untyped");
                }
                self.add(&current, sample);
            }
        }
    }

    fn describe(&mut self, name: &str, help: &'a str, kind: &'static str) {
        if !self.families.contains_key(name) {
            self.order.push(name.to_owned());
            self.families.insert(
                name.to_owned(),
                Family {
                    help,
                    kind,
                    samples: Vec::new(),
                },
            );
        }
    }

    fn add(&mut self, name: &str, sample: &'a str) {
        if let Some(family) = self.families.get_mut(name) {
            family.samples.push(sample);
        }
    }

    fn write(self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        for name in &self.order {
            let family = &self.families[name];
            if family.samples.is_empty() {
                continue;
            }
            // promtool wants a help text for every metric.
            let help = if family.help.trim().is_empty() {
                "Not described."
            } else {
                family.help
            };
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", family.kind);
            let mut seen = std::collections::HashSet::with_capacity(family.samples.len());
            for sample in &family.samples {
                if seen.insert(series(sample)) {
                    let _ = writeln!(out, "{sample}");
                }
            }
        }
        out
    }
}

/// Name and type of a family in the classic format.
fn classic_type(name: &str, kind: &str) -> (String, &'static str) {
    let suffixed = |suffix: &str| {
        if name.ends_with(suffix) {
            name.into()
        } else {
            format!("{name}{suffix}")
        }
    };
    match kind {
        "counter" => (suffixed("_total"), "counter"),
        "info" => (suffixed("_info"), "gauge"),
        "gauge" | "stateset" => (name.into(), "gauge"),
        "histogram" => (name.into(), "histogram"),
        "summary" => (name.into(), "summary"),
        _ => (name.into(), "untyped"),
    }
}

fn sample_name(sample: &str) -> &str {
    sample.split(['{', ' ']).next().unwrap_or(sample)
}

/// A sample's name and labels, without its value.
fn series(sample: &str) -> &str {
    &sample[..labels_end(sample)]
}

/// Where name and labels of a sample end. Label values may contain anything but a bare quote, so braces and spaces
/// inside quotes do not count.
fn labels_end(sample: &str) -> usize {
    let (mut quoted, mut escaped, mut braced) = (false, false, false);
    for (index, byte) in sample.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' if !quoted => braced = true,
            b'}' if !quoted => return index + 1,
            b' ' if !quoted && !braced => return index,
            _ => {}
        }
    }
    sample.len()
}

fn without_exemplar(sample: &str) -> &str {
    let end = labels_end(sample);
    match sample[end..].find(" # ") {
        Some(at) => &sample[..end + at],
        None => sample,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_becomes_classic() {
        let open = "# HELP r1_beats Beats.\n# TYPE r1_beats counter\nr1_beats_total{a=\"} # {\"} 3 # {t=\"x\"} 1\n\
                    # HELP r1_build Build.\n# TYPE r1_build info\nr1_build_info{v=\"1\"} 1\n\
                    # HELP r1_age_seconds Age.\n# TYPE r1_age_seconds gauge\n# UNIT r1_age_seconds seconds\nr1_age_seconds 2\n\
                    # HELP r1_none Without samples.\n# TYPE r1_none counter\n# EOF\n";
        let classic = "# HELP r1_beats_total Beats.\n# TYPE r1_beats_total counter\nr1_beats_total{a=\"} # {\"} 3\n\
                       # HELP r1_build_info Build.\n# TYPE r1_build_info gauge\nr1_build_info{v=\"1\"} 1\n\
                       # HELP r1_age_seconds Age.\n# TYPE r1_age_seconds gauge\nr1_age_seconds 2\n";
        assert_eq!(merge(&[open]), classic);
        assert_eq!(merge(&[classic]), classic, "classic text is left as it is");
    }

    #[test]
    fn families_of_two_texts_are_joined_and_doubled_samples_dropped() {
        let one = "# HELP a_total A.\n# TYPE a_total counter\na_total{n=\"1\"} 1\n";
        let two = "# HELP b B.\n# TYPE b gauge\nb 1\n# HELP a_total A.\n# TYPE a_total counter\na_total{n=\"1\"} 9\na_total{n=\"2\"} 2\n";
        let joined = "# HELP a_total A.\n# TYPE a_total counter\na_total{n=\"1\"} 1\na_total{n=\"2\"} 2\n\
                      # HELP b B.\n# TYPE b gauge\nb 1\n";
        assert_eq!(merge(&[one, two]), joined);
    }

    #[test]
    fn what_lacks_metadata_gets_some() {
        assert_eq!(
            merge(&["x 1\n"]),
            "# HELP x Not described.\n# TYPE x untyped\nx 1\n"
        );
        assert_eq!(merge(&["", "# EOF\n", "\n"]), "");
    }
}
