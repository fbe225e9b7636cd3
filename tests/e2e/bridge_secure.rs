//! A remote that wants TLS with its own authority, and a password.

use std::fs;

use testkit::{Client, Mosquitto};

use crate::{UPLINK, gate};

const RULE: &str = "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"";

fn connector(server: &str, password: &str) -> String {
    format!(
        "[connectors.mqtt.cloud]\n\
         server = \"{server}\"\n\
         proto_ver = \"v5\"\n\
         pool_size = 2\n\
         username = \"plant7\"\n\
         password = {password}\n\
         ssl = {{ enable = true, cacertfile = \"ca.pem\" }}\n\
         {UPLINK}"
    )
}

#[tokio::test]
async fn the_authority_is_trusted_and_the_password_comes_from_a_file() {
    let remote = Mosquitto::builder().tls().user("plant7", "open sesame").start().await;
    let (address, ca) = remote.tls();
    let gate = gate()
        .file("ca.pem", &fs::read_to_string(ca).unwrap())
        .file("password.txt", "open sesame\n")
        .file("cloud.toml", &connector(&address.to_string(), "{ file = \"password.txt\" }"))
        .rule("r1", RULE)
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;

    let reader = Client::builder("reader").user("plant7", "open sesame").connect(remote.address()).await;
    reader.subscribe("pub/#", 1).await;
    Client::connect(gate.mqtt(), "c1").await.publish("t/1", "x", 1).await;
    assert_eq!(reader.next("pub/t/1").await.payload, b"x");
}

#[tokio::test]
async fn a_wrong_password_is_a_reason_and_no_secret() {
    let remote = Mosquitto::builder().tls().user("plant7", "open sesame").start().await;
    let (address, ca) = remote.tls();
    let gate = gate()
        .file("ca.pem", &fs::read_to_string(ca).unwrap())
        .file("cloud.toml", &connector(&format!("mqtts://{address}"), "\"shut barley\""))
        .start()
        .await;

    let connector = testkit::wait_for("the connector says why it is not connected", async || {
        let answer = gate.http().get("/api/v5/connectors/mqtt:cloud").await.expect(200);
        let told = answer.at("/status") != "connected" && answer.at("/status_reason") != "";
        if told { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await;
    assert!(!connector.body.contains("shut barley"), "{connector}");
    let lines = gate.process().lines();
    assert!(!lines.iter().any(|line| line.contains("shut barley")), "the log has the password");
}

#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let remote = Mosquitto::builder().tls().start().await;
    let (address, _) = remote.tls();
    let text = format!("[connectors.mqtt.cloud]\nserver = \"mqtts://{address}\"\npool_size = 1\n");
    let gate = gate().file("cloud.toml", &text).start().await;
    testkit::wait_until("the connector says that it does not trust the certificate", async || {
        let answer = gate.http().get("/api/v5/connectors/mqtt:cloud").await.expect(200);
        answer.at("/status") != "connected" && answer.body.contains("certificate")
    })
    .await;
}
