//! What went wrong on a connection, for people.

use std::io;

use rustls::pki_types::UnixTime;
use x509_parser::time::ASN1Time;

/// The commonest errors of sockets and of TLS in words that help, others as the system says them.
pub fn in_words(error: &io::Error) -> String {
    if let Some(error) = tls_error(error) {
        return tls_in_words(error);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: nobody listens there".to_owned(),
        io::ErrorKind::ConnectionReset => "the remote reset the connection".to_owned(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            "the remote closed the connection".to_owned()
        }
        io::ErrorKind::TimedOut => "the network gave no answer".to_owned(),
        _ => error.to_string(),
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether an error is one of TLS rather than of the socket.
pub fn is_tls(error: &io::Error) -> bool {
    tls_error(error).is_some()
}

fn tls_in_words(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error};
    let help = match error {
        Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "; name the authority that has signed it in `ssl.cacertfile`"
        }
        Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "; name what it is for in `ssl.server_name_indication`",
        Error::InvalidMessage(_) => "; does the remote speak TLS on this port?",
        Error::AlertReceived(Alert::CertificateRequired) => {
            "; it asks for a certificate of ours, `ssl.certfile` and `ssl.keyfile`"
        }
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::DecryptError
            | Alert::AccessDenied,
        ) => "; it does not accept our certificate, `ssl.certfile`",
        Error::AlertReceived(Alert::HandshakeFailure | Alert::ProtocolVersion)
        | Error::PeerIncompatible(_) => {
            "; there is no version or cipher suite that both sides offer, or it asks for a certificate of ours"
        }
        _ => "",
    };
    match error {
        Error::AlertReceived(alert) => format!("the remote refused with the alert {alert:?}{help}"),
        Error::InvalidCertificate(Certificate::ExpiredContext { not_after, .. }) => {
            format!("the remote's certificate has expired: it was good until {}", date(*not_after))
        }
        // A gateway whose clock forgets the time while it is off believes itself in the past.
        Error::InvalidCertificate(Certificate::NotValidYetContext { time, not_before }) => format!(
            "the remote's certificate is good from {} on, and the clock here says {}",
            date(*not_before),
            date(*time)
        ),
        _ => format!("{error}{help}"),
    }
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let date = ASN1Time::from_timestamp(seconds).ok().and_then(|time| time.to_rfc2822().ok());
    date.unwrap_or_else(|| format!("{seconds} s after 1970"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_went_wrong_with_tls_comes_with_a_way_out() {
        let words = |error: rustls::Error| in_words(&io::Error::new(io::ErrorKind::InvalidData, error));
        let unknown = words(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer));
        assert!(unknown.contains("UnknownIssuer") && unknown.contains("`ssl.cacertfile`"), "{unknown}");
        let alert = words(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired));
        assert!(alert.contains("alert CertificateRequired") && alert.contains("`ssl.certfile`"), "{alert}");
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired =
            rustls::CertificateError::ExpiredContext { time: at(2_000_000_000), not_after: at(978_307_200) };
        assert_eq!(
            words(rustls::Error::InvalidCertificate(expired)),
            "the remote's certificate has expired: it was good until Mon, 01 Jan 2001 00:00:00 +0000"
        );
        let early =
            rustls::CertificateError::NotValidYetContext { time: at(60), not_before: at(978_307_200) };
        assert_eq!(
            words(rustls::Error::InvalidCertificate(early)),
            "the remote's certificate is good from Mon, 01 Jan 2001 00:00:00 +0000 on, and the clock here says Thu, 01 \
             Jan 1970 00:01:00 +0000"
        );
    }
}
