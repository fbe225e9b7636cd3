//! Tokens and TLS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::{Guard, State};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use testkit::{Certificates, wait_for};
use tokio_rustls::TlsAcceptor;

use crate::far::{Far, Say};
use crate::house::{Action, context, open, settings, status};

fn with_oauth2(far: &Far, issuer: &Far) -> String {
    format!(
        "url = \"{}\"\noauth2 = {{ token_url = \"{}/token\", client_id = \"me\", client_secret = \"s:cret\", \
         scope = \"write all\" }}",
        far.url(),
        issuer.url()
    )
}

fn token(token: &str) -> Say {
    Say::Body(200, answer_with(token))
}

fn answer_with(token: &str) -> String {
    json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }).to_string()
}

#[tokio::test]
async fn one_token_serves_many_requests_and_is_renewed_when_refused() {
    let (far, issuer) = (Far::start().await, Far::start().await);
    issuer.say([token("one"), token("two")]);
    let connector = open(&with_oauth2(&far, &issuer));
    status(&connector, State::Connected, "").await;
    let action = Action::served(&connector, "", "");
    for number in 0..5 {
        action.send(&number.to_string(), "x");
    }
    action.drained().await;
    let asked = issuer.seen();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (&*asked[0].target, &*asked[0].body),
        ("/token", "grant_type=client_credentials&scope=write%20all")
    );
    assert_eq!(asked[0].headers["authorization"], "Basic bWU6cyUzQWNyZXQ=");
    assert!(far.seen().iter().all(|seen| seen.headers["authorization"] == "Bearer one"));

    far.say([Say::Status(401)]);
    action.send("a", "again");
    action.drained().await;
    assert_eq!(far.seen().last().unwrap().headers["authorization"], "Bearer two");
    assert_eq!(issuer.seen().len(), 2);
}

#[tokio::test]
async fn a_slow_issuer_is_asked_once_though_nobody_has_the_patience() {
    let (far, issuer) = (Far::start().await, Far::start().await);
    issuer.say([Say::Slowly(Duration::from_millis(800), answer_with("slow"))]);
    let connector = open(&format!("{}\npool_size = 4\nenable_pipelining = 8", with_oauth2(&far, &issuer)));
    let action = Action::served(&connector, ", request_timeout = \"100ms\"", "");
    for number in 0..32 {
        action.send(&number.to_string(), "x");
    }
    action.drained().await;
    assert_eq!(issuer.seen().len(), 1);
    assert!(far.seen().iter().all(|seen| seen.headers["authorization"] == "Bearer slow"));
}

#[tokio::test]
async fn a_failing_issuer_is_not_asked_by_every_request() {
    let (far, issuer) = (Far::start().await, Far::start().await);
    issuer.say(std::iter::repeat_n(Say::Status(503), 1_000));
    let begun = Instant::now();
    let connector = open(&format!("{}\npool_size = 4\nenable_pipelining = 8", with_oauth2(&far, &issuer)));
    let action = Action::served(&connector, "", "");
    for number in 0..64 {
        action.send(&number.to_string(), "x");
    }
    wait_for("every request has been tried several times", async || {
        let retried = action.reading().counters.retried;
        if retried >= 128 { Ok(()) } else { Err(format!("{retried} retries")) }
    })
    .await;
    // A failure stands for two seconds.
    let asked = issuer.seen().len();
    assert!(asked as u64 <= 1 + begun.elapsed().as_secs() / 2, "{asked} in {:?}", begun.elapsed());
    assert!(far.seen().is_empty());
}

#[tokio::test]
async fn no_token_is_a_reason_and_tells_no_secret() {
    let (far, issuer) = (Far::start().await, Far::start().await);
    issuer.say(std::iter::repeat_n(Say::Body(401, "{\"error\":\"invalid_client\"}".to_owned()), 100));
    let toml = with_oauth2(&far, &issuer);
    let connector = open(&toml);
    status(&connector, State::Disconnected, "invalid_client").await;
    assert!(!connector.status().reason.contains("cret"));
    let settings = settings(&toml, connector_http::KIND.fields);
    let probe = (connector_http::KIND.probe)(settings, context(Guard::default()), Duration::from_secs(5));
    assert_eq!(probe.await.unwrap_err().stage, "OAuth 2.0");
    assert!(far.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = Certificates::write(folder.path());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = acceptor(&trusted);
    let task = tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            // What comes of it shows on the other side.
            let _ = server.accept(tcp).await;
        }
    });
    let strangers = open(&format!("url = \"https://{address}\""));
    status(&strangers, State::Disconnected, "TLS").await;
    let ca = trusted.ca.display();
    let friends = open(&format!("url = \"https://{address}\"\nssl = {{ cacertfile = \"{ca}\" }}"));
    status(&friends, State::Connected, "").await;
    task.abort();
}

fn acceptor(certificates: &Certificates) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(&certificates.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&certificates.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.collect::<Result<_, _>>().unwrap(), key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
