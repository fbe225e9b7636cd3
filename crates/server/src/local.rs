//! Where local topics live: the embedded broker, or one that the user already runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Sample;
use broker::Broker;
use config::mqtt_config::AckLevel;
use config::server_file::{LocalConfig, ServerConfig};
use config::{FileProblem, Settings};
use connector_mqtt::{LocalLink, LocalOptions, check_local, local_section};
use diagnostic::Diagnostic;
use event::LocalPublish;

use crate::broker_metrics;
use crate::door::Door;

/// One of the two.
#[derive(Clone)]
pub(crate) enum Local {
    Embedded(Arc<Broker>, Arc<Door>),
    /// With its address.
    Remote(Arc<LocalLink>, Arc<str>),
}

/// What is wrong with the settings of the link to a broker that runs already: what reading the configuration alone cannot
/// tell, since it does not know the settings of connectors.
pub(crate) fn check_link(config: &ServerConfig) -> Vec<FileProblem> {
    let Some(local) = &config.local else { return Vec::new() };
    let (_, diagnostics) = link_settings(local);
    let problem = |diagnostic| FileProblem { path: local.file.clone(), text: local.text.clone(), diagnostic };
    diagnostics.into_iter().map(problem).collect()
}

fn link_settings(local: &LocalConfig) -> (Settings, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let section = local_section(local.server.clone(), &local.connector);
    let settings = config::check(&section, connector_mqtt::KIND.fields, &local.dir, &mut diagnostics);
    if !diagnostics.iter().any(Diagnostic::is_error) {
        (connector_mqtt::KIND.check)(&settings, &mut diagnostics);
        check_local(&settings, &mut diagnostics);
    }
    (settings, diagnostics)
}

impl Local {
    /// A link to a broker that runs already. It begins to connect at once, and subscribes to nothing before the rules are
    /// ready.
    pub(crate) fn link(local: &LocalConfig, node: &str, runtime: &tokio::runtime::Handle) -> Self {
        let (settings, _) = link_settings(local);
        let ack = local.ack.map_or(event::AckLevel::Delivered, ack_level);
        let options = LocalOptions { share_group: local.share_group.clone(), ack };
        let server = local.server.as_str().unwrap_or_default().into();
        Local::Remote(LocalLink::new(settings, node, runtime.clone(), options), server)
    }

    /// Who may come in, where clients do.
    pub(crate) fn door(&self) -> Option<&Arc<Door>> {
        match self {
            Local::Embedded(_, door) => Some(door),
            Local::Remote(..) => None,
        }
    }

    /// Where rules publish.
    pub(crate) fn publish(&self) -> Arc<dyn LocalPublish> {
        match self {
            Local::Embedded(broker, _) => Arc::clone(broker) as Arc<dyn LocalPublish>,
            Local::Remote(link, _) => Arc::clone(link) as Arc<dyn LocalPublish>,
        }
    }

    /// What it counts.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        match self {
            Local::Embedded(broker, door) => {
                let mut all = broker_metrics::samples(&broker.metrics());
                all.extend(broker_metrics::listener_samples(&broker.listener_metrics()));
                all.extend(broker_metrics::certificate_samples(&door.certificates()));
                all
            }
            Local::Remote(link, _) => broker_metrics::link_samples(link),
        }
    }

    /// How the link to a broker that runs already is.
    pub(crate) fn link_status(&self) -> Option<api::LocalLink> {
        match self {
            Local::Embedded(..) => None,
            Local::Remote(link, server) => {
                Some(api::LocalLink { server: server.to_string(), status: link.status() })
            }
        }
    }

    /// Takes no messages in any more, within a part of the time that is left.
    pub(crate) async fn stop(&self, within: Duration) {
        match self {
            Local::Embedded(broker, _) => {
                broker.stop_listening();
                if !broker.shutdown(within).await {
                    tracing::warn!("some clients did not leave in time");
                }
            }
            Local::Remote(link, _) => link.stop(Instant::now() + within).await,
        }
    }
}

/// The level as events know it.
pub(crate) fn ack_level(level: AckLevel) -> event::AckLevel {
    match level {
        AckLevel::Received => event::AckLevel::Received,
        AckLevel::Stored => event::AckLevel::Stored,
        AckLevel::Delivered => event::AckLevel::Delivered,
    }
}
