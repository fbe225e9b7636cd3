//! Metrics for Prometheus: our own page, and one in the reference's names.
//!
//! Written by hand rather than with `prometheus-client`: every number already lives in a counter of the engine or the
//! broker, objects come and go with reloads, and a registry would be a second home for both.

mod exposition;
mod page;
mod reference;

use engine::{ActionReading, Category, Engine, HistogramReading, ResourceReading, RuleMetricsView, RuleView};

pub(crate) use exposition::CONTENT_TYPE;
pub(crate) use page::page;
pub(crate) use reference::{data_integration, stats};

/// An action as a page shows it.
struct ActionView {
    id: String,
    enable: bool,
    connected: bool,
    reading: ActionReading,
    delivery: HistogramReading,
}

/// Every rule with what it counts.
fn rules_of(engine: &Engine) -> Vec<(RuleView, RuleMetricsView)> {
    let rules = engine.rules().into_iter();
    rules.filter_map(|rule| engine.rule_metrics(&rule.id).map(|metrics| (rule, metrics))).collect()
}

/// Every source and how many messages it received.
fn sources_of(engine: &Engine) -> Vec<(String, u64)> {
    let sources = engine.resources(Category::Source).into_iter();
    sources
        .filter_map(|source| match engine.resource_reading(Category::Source, &source.id)? {
            ResourceReading::Source { received, .. } => Some((source.id.to_string(), received)),
            ResourceReading::Action { .. } | ResourceReading::Connector { .. } => None,
        })
        .collect()
}

/// Every action with what it counts.
fn actions_of(engine: &Engine) -> Vec<ActionView> {
    let actions = engine.resources(Category::Action).into_iter();
    actions
        .filter_map(|action| match engine.resource_reading(Category::Action, &action.id)? {
            ResourceReading::Action { reading, delivery, .. } => Some(ActionView {
                id: action.id.to_string(),
                enable: action.enable,
                connected: action.status.state == engine::State::Connected,
                reading,
                delivery,
            }),
            ResourceReading::Source { .. } | ResourceReading::Connector { .. } => None,
        })
        .collect()
}
