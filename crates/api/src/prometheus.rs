//! `GET /metrics` in the Prometheus text format, version 0.0.4.
//!
//! Written by hand rather than with `prometheus-client`: every number already lives in a counter of the engine or the
//! broker, objects come and go with reloads, and a registry would be a second home for both. What remains of the
//! format is a headline per metric and three characters to escape.

use std::fmt::Write as _;

use engine::{ActionReading, Category, Engine, ResourceReading, ResourceView, RuleReading, RuleView, State};

use crate::{Context, MetricKind};

/// Name, sentence and reading of what a rule counts without further labels.
type RuleCounter = (&'static str, &'static str, fn(&RuleReading) -> u64);

const RULE_COUNTERS: &[RuleCounter] = &[
    ("rule_matched", "Events whose topic the rule's FROM matched.", |reading| reading.matched),
    ("rule_passed", "Of these, events that gave at least one row.", |reading| reading.passed),
];

/// Name, kind, sentence and reading of what an action shows without further labels.
type ActionNumber = (&'static str, MetricKind, &'static str, fn(&ActionReading) -> u64);

const ACTION_NUMBERS: &[ActionNumber] = &[
    ("action_matched", MetricKind::Counter, "Rows meant for the action.", |action| action.counters.matched),
    ("action_success", MetricKind::Counter, "Requests that the far side took.", |action| {
        action.counters.success
    }),
    ("action_failed", MetricKind::Counter, "Requests that failed for good.", |action| action.counters.failed),
    ("action_retried", MetricKind::Counter, "Further sendings of requests.", |action| {
        action.counters.retried
    }),
    ("action_late_reply", MetricKind::Counter, "Answers too late to count.", |action| {
        action.counters.late_reply
    }),
    ("action_inflight", MetricKind::Gauge, "Requests sent and not answered.", |action| action.fill.inflight),
    ("action_queuing", MetricKind::Gauge, "Requests waiting to be sent.", |action| action.fill.queuing),
    ("action_queuing_bytes", MetricKind::Gauge, "Bytes of these.", |action| action.fill.queuing_bytes),
];

/// The content type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric of the server.
pub(crate) fn page(context: &Context) -> String {
    let mut page = Exposition::default();
    server(&mut page, &context.engine);
    rules(&mut page, &context.engine);
    resources(&mut page, &context.engine);
    for sample in (context.broker)() {
        page.metric(sample.name, sample.kind, sample.help).value(&[], sample.value);
    }
    page.0
}

fn server(page: &mut Exposition, engine: &Engine) {
    page.metric("build_info", MetricKind::Gauge, "The version of the server.")
        .value(&[("version", crate::dto::status::VERSION)], 1);
    page.metric("generation", MetricKind::Gauge, "The generation of rules that is live.")
        .value(&[], engine.generation());
}

fn rules(page: &mut Exposition, engine: &Engine) {
    let rules: Vec<(RuleView, RuleReading)> = engine
        .rules()
        .into_iter()
        .filter_map(|rule| engine.rule_metrics(&rule.id).map(|metrics| (rule, metrics.reading)))
        .collect();
    page.metric("rules", MetricKind::Gauge, "Rules that are known, running or not.")
        .value(&[], rules.len() as u64);

    let mut metric = page.metric("rule_enabled", MetricKind::Gauge, "1 where the rule is enabled.");
    for (rule, _) in &rules {
        metric.value(&[("rule", &rule.id)], u64::from(rule.enable));
    }
    let mut metric =
        page.metric("rule_errors", MetricKind::Gauge, "Mistakes in the newest version of the rule.");
    for (rule, _) in &rules {
        metric.value(&[("rule", &rule.id)], errors(rule));
    }
    for (name, help, read) in RULE_COUNTERS {
        let mut metric = page.metric(name, MetricKind::Counter, help);
        for (rule, reading) in &rules {
            metric.value(&[("rule", &rule.id)], read(reading));
        }
    }
    let mut metric =
        page.metric("rule_failed", MetricKind::Counter, "Of these, events that gave no row, by reason.");
    for (rule, reading) in &rules {
        for (reason, count) in
            [("exception", reading.failed_exception), ("no_result", reading.failed_no_result)]
        {
            metric.value(&[("rule", &rule.id), ("reason", reason)], count);
        }
    }
    let mut metric =
        page.metric("rule_actions", MetricKind::Counter, "Rows handed to actions, by what became of it.");
    for (rule, reading) in &rules {
        for (result, count) in [
            ("success", reading.actions_success),
            ("failed_out_of_service", reading.actions_failed_out_of_service),
            ("failed_unknown", reading.actions_failed_unknown),
            ("discarded", reading.actions_discarded),
        ] {
            metric.value(&[("rule", &rule.id), ("result", result)], count);
        }
    }
}

fn errors(rule: &RuleView) -> u64 {
    rule.errors.iter().filter(|finding| finding.diagnostic.is_error()).count() as u64
}

fn resources(page: &mut Exposition, engine: &Engine) {
    for category in [Category::Connector, Category::Source, Category::Action] {
        states(page, category, &engine.resources(category));
    }
    sources(page, engine);
    actions(page, engine);
}

/// One series for each state a resource may be in, 1 where it is.
fn states(page: &mut Exposition, category: Category, all: &[ResourceView]) {
    let label = category.singular();
    let name = format!("{label}_status");
    let help = format!("1 at the state that the {label} is in.");
    let mut metric = page.metric(&name, MetricKind::Gauge, &help);
    for resource in all {
        let id = resource.id.to_string();
        for state in [State::Connected, State::Connecting, State::Disconnected, State::Stopped] {
            let is = u64::from(resource.status.state == state);
            metric.value(&[(label, &id), ("status", state.name())], is);
        }
    }
}

fn sources(page: &mut Exposition, engine: &Engine) {
    let mut metric =
        page.metric("source_received", MetricKind::Counter, "Messages that the source received.");
    for source in engine.resources(Category::Source) {
        if let Some(ResourceReading::Source { received }) =
            engine.resource_reading(Category::Source, &source.id)
        {
            metric.value(&[("source", &source.id.to_string())], received);
        }
    }
}

fn actions(page: &mut Exposition, engine: &Engine) {
    let readings: Vec<(String, ActionReading)> = engine
        .resources(Category::Action)
        .into_iter()
        .filter_map(|action| match engine.resource_reading(Category::Action, &action.id)? {
            ResourceReading::Action(reading) => Some((action.id.to_string(), reading)),
            ResourceReading::Source { .. } => None,
        })
        .collect();
    for (name, kind, help, read) in ACTION_NUMBERS {
        let mut metric = page.metric(name, *kind, help);
        for (action, reading) in &readings {
            metric.value(&[("action", action)], read(reading));
        }
    }
    let mut metric =
        page.metric("action_dropped", MetricKind::Counter, "Requests given up before sending, by reason.");
    for (action, ActionReading { counters, .. }) in &readings {
        for (reason, count) in [
            ("expired", counters.dropped_expired),
            ("queue_full", counters.dropped_queue_full),
            ("resource_not_found", counters.dropped_resource_not_found),
            ("resource_stopped", counters.dropped_resource_stopped),
            ("other", counters.dropped_other),
        ] {
            metric.value(&[("action", action), ("reason", reason)], count);
        }
    }
}

/// The page as far as it is written.
#[derive(Debug, Default)]
struct Exposition(String);

/// A metric whose headline is written.
struct Metric<'p> {
    page: &'p mut String,
    name: String,
}

impl Exposition {
    /// Begins the metric `sluicegate_{name}`, with `_total` if it is a counter.
    fn metric(&mut self, name: &str, kind: MetricKind, help: &str) -> Metric<'_> {
        let (suffix, word) = match kind {
            MetricKind::Counter => ("_total", "counter"),
            MetricKind::Gauge => ("", "gauge"),
        };
        let name = format!("sluicegate_{name}{suffix}");
        // Writing into a string cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP {name} {}\n# TYPE {name} {word}",
            help.replace('\\', "\\\\").replace('\n', "\\n")
        );
        Metric { page: &mut self.0, name }
    }
}

impl Metric<'_> {
    /// One series.
    fn value(&mut self, labels: &[(&str, &str)], value: u64) {
        self.page.push_str(&self.name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let opening = if at == 0 { '{' } else { ',' };
            let _ = write!(self.page, "{opening}{label}=\"{}\"", escaped(text));
        }
        let closing = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.page, "{closing} {value}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_as_prometheus_reads_it() {
        let mut page = Exposition::default();
        let mut metric = page.metric("rule_failed", MetricKind::Counter, "No\nrow.");
        metric.value(&[("rule", "a\"b\\c\nd"), ("reason", "exception")], 3);
        page.metric("generation", MetricKind::Gauge, "Live.").value(&[], 7);
        assert_eq!(
            page.0,
            "# HELP sluicegate_rule_failed_total No\\nrow.\n\
             # TYPE sluicegate_rule_failed_total counter\n\
             sluicegate_rule_failed_total{rule=\"a\\\"b\\\\c\\nd\",reason=\"exception\"} 3\n\
             # HELP sluicegate_generation Live.\n\
             # TYPE sluicegate_generation gauge\n\
             sluicegate_generation 7\n"
        );
    }
}
