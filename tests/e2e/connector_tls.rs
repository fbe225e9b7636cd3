//! TLS of connectors: who is trusted, who we are, what is offered, and what is said when it does not fit.

use std::fs;
use std::path::Path;

use testkit::{Certificates, Mosquitto, Sluicegate, wait_for};

use crate::gate;

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the certificates are there")
}

/// A remote that asks for a certificate of its own authority.
async fn asking() -> Mosquitto {
    Mosquitto::builder().tls().asks_for_certificate().start().await
}

fn connector(remote: &Mosquitto, ssl: &str) -> String {
    let (address, _) = remote.tls();
    format!(
        "[connectors.mqtt.cloud]\nserver = \"{address}\"\npool_size = 1\nssl = {{ enable = true, {ssl} }}\n"
    )
}

async fn with(remote: &Mosquitto, ssl: &str) -> Sluicegate {
    let Certificates { ca, client, client_key, .. } = remote.certificates();
    gate()
        .file("ca.pem", &read(ca))
        .file("client.pem", &read(client))
        .file("client.key", &read(client_key))
        .file("cloud.toml", &connector(remote, ssl))
        .start()
        .await
}

async fn says(gate: &Sluicegate, part: &str) {
    wait_for(&format!("the reason has `{part}`"), async || {
        let answer = gate.http().get("/api/v5/connectors/mqtt:cloud").await.expect(200);
        let reason = answer.at("/status_reason").as_str().unwrap_or_default().to_owned();
        if reason.contains(part) { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_client_certificate_lets_us_in() {
    let remote = asking().await;
    let gate =
        with(&remote, "cacertfile = \"ca.pem\", certfile = \"client.pem\", keyfile = \"client.key\"").await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
}

#[tokio::test]
async fn without_one_the_alert_is_said_and_what_to_do() {
    let remote = asking().await;
    let gate = with(&remote, "cacertfile = \"ca.pem\"").await;
    says(&gate, "TLS: the remote refused with the alert").await;
    says(&gate, "`ssl.certfile`").await;
    let (address, _) = remote.tls();
    let body = serde_json::json!({"type": "mqtt", "name": "x", "server": address.to_string(),
        "ssl": {"enable": true, "cacertfile": read(&remote.certificates().ca)}});
    let answer = gate.http().post("/api/v5/connectors_probe", &body).await.expect(400);
    assert_eq!(answer.at("/code"), "TEST_FAILED");
    assert!(answer.body.contains("TLS") && answer.body.contains("alert"), "{answer}");
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_used_at_once() {
    let remote = asking().await;
    let other = tempfile::tempdir().unwrap();
    let foreign = Certificates::write(other.path());
    let gate = gate()
        .file("ca.pem", &read(&remote.certificates().ca))
        .file("client.pem", &read(&foreign.client))
        .file("client.key", &read(&foreign.client_key))
        .file(
            "cloud.toml",
            &connector(
                &remote,
                "cacertfile = \"ca.pem\", certfile = \"client.pem\", keyfile = \"client.key\"",
            ),
        )
        .start()
        .await;
    says(&gate, "`ssl.certfile`").await;
    gate.write("client.pem", &read(&remote.certificates().client));
    gate.write("client.key", &read(&remote.certificates().client_key));
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
}

#[tokio::test]
async fn an_encrypted_key_is_opened_with_its_password() {
    let remote = asking().await;
    let locked = tempfile::NamedTempFile::new().unwrap();
    let status = std::process::Command::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:sesame", "-in"])
        .arg(&remote.certificates().client_key)
        .arg("-out")
        .arg(locked.path())
        .status();
    assert!(status.unwrap().success());
    let ssl = format!(
        "cacertfile = \"ca.pem\", certfile = \"client.pem\", keyfile = \"{}\", password = \"sesame\"",
        locked.path().display()
    );
    let gate = with(&remote, &ssl).await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    gate.write("cloud.toml", &connector(&remote, &ssl.replace("sesame", "barley")));
    gate.process().wait_line("the password does not open the private key").await;
    assert!(!gate.process().lines().iter().any(|line| line.contains("barley") || line.contains("sesame")));
}

#[tokio::test]
async fn versions_ciphers_names_and_trust_are_chosen() {
    let remote = Mosquitto::builder().tls().line("tls_version tlsv1.2").start().await;
    let trusted = "cacertfile = \"ca.pem\"";
    for good in [
        format!("{trusted}, versions = [\"tlsv1.2\"], ciphers = [\"ECDHE-ECDSA-AES128-GCM-SHA256\"]"),
        format!("{trusted}, server_name_indication = \"localhost\", depth = 1"),
        format!("{trusted}, server_name_indication = \"disable\", cacerts = true"),
        "verify = \"verify_none\", server_name_indication = \"whatever.example\"".to_owned(),
    ] {
        let gate = with(&remote, &good).await;
        gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    }
    for (bad, reason) in [
        (format!("{trusted}, server_name_indication = \"other.example\""), "`ssl.server_name_indication`"),
        ("verify = \"verify_peer\"".to_owned(), "`ssl.cacertfile`"),
        (
            format!("{trusted}, ciphers = [\"ECDHE-RSA-AES128-GCM-SHA256\"]"),
            "no version or cipher suite that both sides offer",
        ),
    ] {
        let gate = with(&remote, &bad).await;
        says(&gate, reason).await;
    }
    let newer = Mosquitto::builder().tls().line("tls_version tlsv1.3").start().await;
    let gate = with(&newer, &format!("{trusted}, versions = [\"tlsv1.2\"]")).await;
    says(&gate, "TLS: the remote refused with the alert ProtocolVersion").await;
}

#[tokio::test]
async fn the_wrong_port_is_recognised() {
    let remote = Mosquitto::builder().tls().start().await;
    let (tls, _) = remote.tls();
    let text = format!(
        "[connectors.mqtt.plain]\nserver = \"mqtt://{tls}\"\npool_size = 1\n\
         [connectors.mqtt.cloud]\nserver = \"mqtts://{}\"\npool_size = 1\nssl = {{ verify = \"verify_none\" }}\n",
        remote.address()
    );
    let gate = gate().file("two.toml", &text).start().await;
    says(&gate, "TLS: ").await;
    wait_for("the plain one asks about TLS", async || {
        let answer = gate.http().get("/api/v5/connectors/mqtt:plain").await.expect(200);
        let reason = answer.at("/status_reason").as_str().unwrap_or_default().to_owned();
        if reason.contains("does it want TLS?") { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}
