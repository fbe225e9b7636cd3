//! Runs rules: which are live, what an event does, what is counted, and how all of that changes while messages flow.
//!
//! [`Engine`] is the whole of it. Files become units ([`mod@parse`]), units a consistent set ([`mod@assemble`]), the set one
//! generation that replaces the last by a single swap ([`mod@reload`]); events are judged by the generation that is live
//! when they arrive ([`mod@dispatch`]). [`trial`] does all of it but the sending.
//!
//! *Invariant:* knows no broker, no HTTP and no particular connector: those reach it through the traits of `event` and
//! `connector`.

mod aside;
mod assemble;
mod broken;
mod buffers;
mod counts;
mod dispatch;
mod engine;
mod files;
mod generation;
mod last_resort;
mod letter;
mod live;
mod loops;
mod metrics;
mod origin;
mod parse;
mod placeholders;
mod reload;
mod replay;
mod republish;
mod rerun;
mod rule;
mod rule_set;
mod settings;
mod shards;
pub mod trial;
mod unit;
mod view;
mod write;

pub use connector::{ActionReading, HistogramReading, State, Status};
pub use dead_letters;

pub use engine::{DataConfig, Engine, EngineConfig};
pub use metrics::{RateReading, ReloadReading, RuleMetrics, RuleReading};
pub use parse::Kinds;
pub use replay::ReplayOutcome;
pub use republish::REPUBLISH_FIELDS;
pub use settings::RULE_ENGINE_FIELDS;
pub use view::{
    Category, Finding, ManagedBy, OrphanView, ProbeError, ReloadOutcome, ResourceId, ResourceReading,
    ResourceView, RuleMetricsView, RuleView, StartError, WriteError, Written,
};
pub use write::{Deletion, Dependants, WriteMode};
