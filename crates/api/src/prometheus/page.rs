//! `GET /metrics`: everything that is counted, in our own names.

use std::time::SystemTime;

use engine::{Category, Engine, ResourceView, RuleMetricsView, RuleReading, RuleView, State};

use super::exposition::Exposition;
use super::{ActionView, actions_of, rules_of, sources_of};
use crate::{Context, MetricKind};

/// Name, sentence and reading of what a rule counts without further labels.
type RuleCounter = (&'static str, &'static str, fn(&RuleReading) -> u64);

const RULE_COUNTERS: &[RuleCounter] = &[
    ("rule_matched", "Events whose topic the rule's FROM matched.", |reading| reading.matched),
    ("rule_passed", "Of these, events that gave at least one row.", |reading| reading.passed),
];

/// Name, kind, sentence and reading of what an action shows without further labels.
type ActionNumber = (&'static str, MetricKind, &'static str, fn(&ActionView) -> u64);

const ACTION_NUMBERS: &[ActionNumber] = &[
    ("action_matched", MetricKind::Counter, "Rows meant for the action.", |action| {
        action.reading.counters.matched
    }),
    ("action_success", MetricKind::Counter, "Requests that the far side took.", |action| {
        action.reading.counters.success
    }),
    ("action_failed", MetricKind::Counter, "Requests that failed for good.", |action| {
        action.reading.counters.failed
    }),
    ("action_retried", MetricKind::Counter, "Further sendings of requests.", |action| {
        action.reading.counters.retried
    }),
    (
        "action_retried_success",
        MetricKind::Counter,
        "Requests that the far side took after further sendings.",
        |action| action.reading.counters.retried_success,
    ),
    (
        "action_retried_failed",
        MetricKind::Counter,
        "Requests that failed for good after further sendings.",
        |action| action.reading.counters.retried_failed,
    ),
    ("action_late_reply", MetricKind::Counter, "Answers too late to count.", |action| {
        action.reading.counters.late_reply
    }),
    ("action_inflight", MetricKind::Gauge, "Requests sent and not answered.", |action| {
        action.reading.fill.inflight
    }),
    ("action_queuing", MetricKind::Gauge, "Requests waiting to be sent.", |action| {
        action.reading.fill.queuing
    }),
    ("action_queuing_bytes", MetricKind::Gauge, "Bytes of these.", |action| {
        action.reading.fill.queuing_bytes
    }),
];

/// Every metric of the server.
pub(crate) fn page(context: &Context) -> String {
    let mut page = Exposition::new("sluicegate_", "_total");
    server(&mut page, &context.engine);
    rules(&mut page, &context.engine);
    resources(&mut page, &context.engine);
    dead_letters(&mut page, &context.engine);
    page.samples(&(context.broker)(), false);
    page.samples(&(context.process)(), true);
    page.finish()
}

fn dead_letters(page: &mut Exposition, engine: &Engine) {
    let summary = engine.dead_letters().summary();
    for (name, kind, help, value) in [
        (
            "dead_letters",
            MetricKind::Gauge,
            "Messages that could not be delivered and are kept.",
            summary.letters,
        ),
        ("dead_letters_stored_bytes", MetricKind::Gauge, "Bytes of these on disk.", summary.bytes),
        ("dead_letters_buried", MetricKind::Counter, "Messages that became dead letters.", summary.buried),
        (
            "dead_letters_dropped",
            MetricKind::Counter,
            "Dead letters that gave way to newer ones.",
            summary.dropped,
        ),
        ("dead_letters_lost", MetricKind::Counter, "Dead letters that could not be kept.", summary.lost),
    ] {
        page.metric(name, kind, help).value(&[], value);
    }
}

fn server(page: &mut Exposition, engine: &Engine) {
    page.metric("build_info", MetricKind::Gauge, "The version of the server.")
        .value(&[("version", crate::dto::status::VERSION)], 1);
    page.metric("generation", MetricKind::Gauge, "The generation of rules that is live.")
        .value(&[], engine.generation());
    let reloads = engine.reloads();
    let mut metric =
        page.metric("reloads", MetricKind::Counter, "Readings of all files, by what came of them.");
    for (result, count) in [
        ("good", reloads.good),
        ("partial", reloads.partial),
        ("refused", reloads.refused),
        ("broken", reloads.broken),
    ] {
        metric.value(&[("result", result)], count);
    }
    if let Some(last) = reloads.last {
        let since = last.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        page.metric(
            "last_reload_timestamp_seconds",
            MetricKind::Gauge,
            "When files were last read and not refused.",
        )
        .value(&[], since.as_secs_f64());
    }
}

fn rules(page: &mut Exposition, engine: &Engine) {
    let rules = rules_of(engine);
    page.metric("rules", MetricKind::Gauge, "Rules that are known, running or not.").value(&[], rules.len());

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
        for (rule, metrics) in &rules {
            metric.value(&[("rule", &rule.id)], read(&metrics.reading));
        }
    }
    rule_outcomes(page, &rules);
    let mut metric = page.histogram(
        "rule_evaluation_seconds",
        "How long evaluating took: the first 256 events of a rule on each thread, then one in 64.",
    );
    for (rule, metrics) in &rules {
        // Rules that never ran, of which there can be thousands, have nothing to show.
        if metrics.evaluation.count > 0 {
            metric.distribution(&[("rule", &rule.id)], &metrics.evaluation);
        }
    }
}

fn rule_outcomes(page: &mut Exposition, rules: &[(RuleView, RuleMetricsView)]) {
    let mut metric =
        page.metric("rule_failed", MetricKind::Counter, "Of these, events that gave no row, by reason.");
    for (rule, RuleMetricsView { reading, .. }) in rules {
        for (reason, count) in
            [("exception", reading.failed_exception), ("no_result", reading.failed_no_result)]
        {
            metric.value(&[("rule", &rule.id), ("reason", reason)], count);
        }
    }
    let help = "Events whose WHERE was false or that gave no row: `no_result` under its right name.";
    let mut metric = page.metric("rule_filtered", MetricKind::Counter, help);
    for (rule, metrics) in rules {
        metric.value(&[("rule", &rule.id)], metrics.reading.failed_no_result);
    }
    let mut metric =
        page.metric("rule_actions", MetricKind::Counter, "Rows handed to actions, by what became of it.");
    for (rule, RuleMetricsView { reading, .. }) in rules {
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

fn errors(rule: &RuleView) -> usize {
    rule.errors.iter().filter(|finding| finding.diagnostic.is_error()).count()
}

fn resources(page: &mut Exposition, engine: &Engine) {
    for category in Category::ALL {
        states(page, category, &engine.resources(category));
    }
    let mut metric =
        page.metric("source_received", MetricKind::Counter, "Messages that the source received.");
    for (source, received) in sources_of(engine) {
        metric.value(&[("source", &source)], received);
    }
    actions(page, &actions_of(engine));
}

/// One series for each state a resource may be in, 1 where it is, and whether it is to run.
fn states(page: &mut Exposition, category: Category, all: &[ResourceView]) {
    let label = category.singular();
    let help = format!("1 where the {label} is enabled.");
    let mut metric = page.metric(&format!("{label}_enabled"), MetricKind::Gauge, &help);
    for resource in all {
        metric.value(&[(label, &resource.id.to_string())], u64::from(resource.enable));
    }
    let help = format!("1 at the state that the {label} is in.");
    let mut metric = page.metric(&format!("{label}_status"), MetricKind::Gauge, &help);
    for resource in all {
        let id = resource.id.to_string();
        for state in [State::Connected, State::Connecting, State::Disconnected, State::Stopped] {
            let is = u64::from(resource.status.state == state);
            metric.value(&[(label, &id), ("status", state.name())], is);
        }
    }
}

fn actions(page: &mut Exposition, actions: &[ActionView]) {
    for (name, kind, help, read) in ACTION_NUMBERS {
        let mut metric = page.metric(name, *kind, help);
        for action in actions {
            metric.value(&[("action", &action.id)], read(action));
        }
    }
    let mut metric = page.histogram(
        "action_delivery_seconds",
        "From the rule to the far side's word that it has the request; of one request in eight at most.",
    );
    for action in actions.iter().filter(|action| action.delivery.count > 0) {
        metric.distribution(&[("action", &action.id)], &action.delivery);
    }
    let mut metric =
        page.metric("action_dropped", MetricKind::Counter, "Requests given up before sending, by reason.");
    for ActionView { id, reading, .. } in actions {
        let counters = reading.counters;
        for (reason, count) in [
            ("expired", counters.dropped_expired),
            ("queue_full", counters.dropped_queue_full),
            ("resource_not_found", counters.dropped_resource_not_found),
            ("resource_stopped", counters.dropped_resource_stopped),
            ("other", counters.dropped_other),
        ] {
            metric.value(&[("action", id), ("reason", reason)], count);
        }
    }
}
