//! The text format of Prometheus, version 0.0.4: a headline for each metric, and three characters to escape.

use std::fmt::Write as _;

use engine::HistogramReading;

use crate::{MetricKind, Sample};

/// The content type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page as far as it is written.
#[derive(Debug)]
pub(super) struct Exposition {
    text: String,
    /// What the names of metrics begin with, unless a metric says its whole name.
    prefix: &'static str,
    /// What the names of counters end in.
    counter_suffix: &'static str,
}

/// A metric whose headline is written.
pub(super) struct Metric<'p> {
    page: &'p mut String,
    name: String,
}

impl Exposition {
    pub(super) fn new(prefix: &'static str, counter_suffix: &'static str) -> Self {
        Self { text: String::new(), prefix, counter_suffix }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Begins the metric of this name, with the page's prefix and, if it is a counter, its suffix.
    pub(super) fn metric(&mut self, name: &str, kind: MetricKind, help: &str) -> Metric<'_> {
        let name = format!("{}{name}", self.prefix);
        self.named(&name, kind, help)
    }

    fn named(&mut self, name: &str, kind: MetricKind, help: &str) -> Metric<'_> {
        let (suffix, word) = match kind {
            MetricKind::Counter => (self.counter_suffix, "counter"),
            MetricKind::Gauge => ("", "gauge"),
        };
        self.headline(&format!("{name}{suffix}"), word, help)
    }

    /// Begins a histogram.
    pub(super) fn histogram(&mut self, name: &str, help: &str) -> Metric<'_> {
        let name = format!("{}{name}", self.prefix);
        self.headline(&name, "histogram", help)
    }

    fn headline(&mut self, name: &str, word: &str, help: &str) -> Metric<'_> {
        // Writing into a string cannot fail.
        let _ = writeln!(
            self.text,
            "# HELP {name} {}\n# TYPE {name} {word}",
            help.replace('\\', "\\\\").replace('\n', "\\n")
        );
        Metric { page: &mut self.text, name: name.to_owned() }
    }

    /// Samples that others took; `whole` where their names have no prefix.
    pub(super) fn samples(&mut self, samples: &[Sample], whole: bool) {
        for same in samples.chunk_by(|one, other| one.name == other.name) {
            let Sample { name, kind, help, .. } = &same[0];
            let mut metric =
                if whole { self.named(name, *kind, help) } else { self.metric(name, *kind, help) };
            for sample in same {
                let labels: Vec<(&str, &str)> =
                    sample.labels.iter().map(|(label, text)| (*label, text.as_str())).collect();
                metric.value(&labels, sample.value);
            }
        }
    }
}

impl Metric<'_> {
    /// One series.
    pub(super) fn value(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.line("", labels, value);
    }

    /// The series of one histogram.
    pub(super) fn distribution(&mut self, labels: &[(&str, &str)], reading: &HistogramReading) {
        let with_bound = |bound: &str| {
            [labels, &[("le", bound)]]
                .concat()
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect::<Vec<_>>()
        };
        for (bound, count) in &reading.buckets {
            let labels = with_bound(&short(*bound));
            let labels: Vec<(&str, &str)> = labels.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            self.line("_bucket", &labels, count);
        }
        self.line("_bucket", &[labels, &[("le", "+Inf")]].concat(), reading.count);
        self.line("_sum", labels, reading.sum);
        self.line("_count", labels, reading.count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.page.push_str(&self.name);
        self.page.push_str(suffix);
        for (at, (label, text)) in labels.iter().enumerate() {
            let opening = if at == 0 { '{' } else { ',' };
            let _ = write!(self.page, "{opening}{label}=\"{}\"", escaped(text));
        }
        let closing = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.page, "{closing} {value}");
    }
}

/// A bound without the digits that binary fractions add at the end.
fn short(bound: f64) -> String {
    let nanos = (bound * 1e9).round();
    format!("{}", nanos / 1e9)
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_as_prometheus_reads_it() {
        let mut page = Exposition::new("sluicegate_", "_total");
        let mut metric = page.metric("rule_failed", MetricKind::Counter, "No\nrow.");
        metric.value(&[("rule", "a\"b\\c\nd"), ("reason", "exception")], 3);
        page.metric("generation", MetricKind::Gauge, "Live.").value(&[], 7);
        assert_eq!(
            page.finish(),
            "# HELP sluicegate_rule_failed_total No\\nrow.\n\
             # TYPE sluicegate_rule_failed_total counter\n\
             sluicegate_rule_failed_total{rule=\"a\\\"b\\\\c\\nd\",reason=\"exception\"} 3\n\
             # HELP sluicegate_generation Live.\n\
             # TYPE sluicegate_generation gauge\n\
             sluicegate_generation 7\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_bounded_by_infinity() {
        let mut page = Exposition::new("sluicegate_", "_total");
        let reading = HistogramReading { buckets: vec![(2.5e-7, 1), (1e-6, 3)], count: 4, sum: 0.5 };
        page.histogram("rule_evaluation_seconds", "Time.").distribution(&[("rule", "r")], &reading);
        let page = page.finish();
        let series: Vec<&str> = page.lines().skip(2).collect();
        assert_eq!(
            series,
            [
                "sluicegate_rule_evaluation_seconds_bucket{rule=\"r\",le=\"0.00000025\"} 1",
                "sluicegate_rule_evaluation_seconds_bucket{rule=\"r\",le=\"0.000001\"} 3",
                "sluicegate_rule_evaluation_seconds_bucket{rule=\"r\",le=\"+Inf\"} 4",
                "sluicegate_rule_evaluation_seconds_sum{rule=\"r\"} 0.5",
                "sluicegate_rule_evaluation_seconds_count{rule=\"r\"} 4",
            ]
        );
    }

    #[test]
    fn samples_of_one_name_share_a_headline() {
        let mut page = Exposition::new("sluicegate_", "_total");
        let sample = |name, listener: &str, value| Sample {
            name,
            help: "Connections.",
            kind: MetricKind::Gauge,
            labels: vec![("listener", listener.to_owned())],
            value,
        };
        page.samples(&[sample("connections", "tcp", 1.0), sample("connections", "tls", 2.5)], true);
        assert_eq!(
            page.finish(),
            "# HELP connections Connections.\n# TYPE connections gauge\n\
             connections{listener=\"tcp\"} 1\nconnections{listener=\"tls\"} 2.5\n"
        );
    }
}
