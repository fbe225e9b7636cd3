//! When the certificates end that the configuration names.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use api::{MetricKind, Sample};
use engine::Engine;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// The most bytes of a file that are looked at.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One sample for each file that holds certificates: the end of the one that ends first (seconds since 1970).
///
/// Reads the files anew each time, since they are replaced while the server runs; there are few, and they are small.
pub(crate) fn samples(engine: &Engine) -> Vec<Sample> {
    let sample = |file: &Path| {
        Some(Sample {
            name: "sluicegate_certificate_expiry_timestamp_seconds",
            help: "When the first certificate in the file ends.",
            kind: MetricKind::Gauge,
            labels: vec![("file", file.display().to_string())],
            value: earliest_end(&read(file)?)? as f64,
        })
    };
    engine.connector_files().iter().filter_map(|file| sample(file)).collect()
}

fn read(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The first end among the certificates of a PEM file; `None` where it has none.
fn earliest_end(pem: &[u8]) -> Option<i64> {
    let end = |certificate: CertificateDer<'_>| {
        let (_, certificate) = x509_parser::parse_x509_certificate(&certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    };
    CertificateDer::pem_slice_iter(pem).filter_map(|found| end(found.ok()?)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_end_speaks_for_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let made = testkit::Certificates::write(folder.path());
        let pem = std::fs::read(&made.ca).expect("it was written");
        let end = earliest_end(&pem).expect("an authority is a certificate");
        assert!(end > 1_700_000_000, "{end}");
        assert_eq!(earliest_end(&[pem.clone(), pem].concat()), Some(end));
        assert_eq!(earliest_end(b"no certificate"), None);
    }
}
