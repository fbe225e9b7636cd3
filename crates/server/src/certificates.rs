//! When the certificates end that the configuration names: of listeners, and of connectors.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::{Certificate, CertificateOwner, MetricKind, Sample};
use config::content::read_file;
use engine::Engine;

use crate::door::{Door, PEM_BYTES_MAX};

/// How often it is looked whether one ends soon.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Every certificate file, of listeners as it was last taken over and of connectors as it is now, each with the end of what
/// ends first in it.
///
/// Reads the files of connectors anew each time, since they are replaced while the server runs; there are few, and they are
/// small.
pub(crate) fn all(engine: &Engine, door: Option<&Door>) -> Vec<Certificate> {
    let listeners = door.map(Door::certificates).unwrap_or_default();
    listeners.into_iter().chain(of_connectors(engine)).collect()
}

fn of_connectors(engine: &Engine) -> impl Iterator<Item = Certificate> {
    engine.connector_files().into_iter().filter_map(|(connector, file)| {
        let expires_at = end_of(&file)?;
        Some(Certificate { owner: CertificateOwner::Connector(connector), file, expires_at })
    })
}

/// One sample for each file of a connector that holds certificates.
pub(crate) fn samples(engine: &Engine) -> Vec<Sample> {
    let sample = |certificate: Certificate| Sample {
        name: "sluicegate_certificate_expiry_timestamp_seconds",
        help: "When the first certificate in the file of a connector ends, in seconds since 1970.",
        kind: MetricKind::Gauge,
        labels: vec![
            ("connector", certificate.owner.name().to_string()),
            ("file", certificate.file.display().to_string()),
        ],
        value: certificate.expires_at as f64,
    };
    of_connectors(engine).map(sample).collect()
}

/// Warns of certificates that end soon, now and once a day, for ever.
pub(crate) async fn mind(engine: Engine, door: Option<Arc<Door>>) {
    let mut days = tokio::time::interval(DAY);
    loop {
        days.tick().await;
        let (engine, door) = (engine.clone(), door.clone());
        // Reading files is no work for a thread that others wait on.
        let found = tokio::task::spawn_blocking(move || all(&engine, door.as_deref())).await;
        found.unwrap_or_default().iter().for_each(warn);
    }
}

/// Says in the log if it ends soon, or has.
pub(crate) fn warn(certificate: &Certificate) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let Some(warning) = certificate.warning(now) else { return };
    let file = certificate.file.display();
    if certificate.expires_at <= now {
        tracing::error!(%file, "{warning}");
    } else {
        tracing::warn!(%file, "{warning}");
    }
}

fn end_of(file: &Path) -> Option<i64> {
    tls::earliest_end(&read_file(file, PEM_BYTES_MAX).ok()?)
}
