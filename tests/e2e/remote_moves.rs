//! A remote that is not what it was: at another address under its old name, or with a certificate whose time is over. What was
//! taken waits on disk, and goes out once the remote can be used again.

use testkit::{Client, Mosquitto, Sluicegate, wait_for};

use crate::{gate, number};

const UP: &str = "--- actions = [\"mqtt:uplink\"]\nSELECT * FROM \"t/#\"";

fn bridge(server: &str, settings: &str) -> String {
    format!(
        "[connectors.mqtt.cloud]\nserver = \"{server}\"\npool_size = 1\n{settings}\n\n\
         [actions.mqtt.uplink]\nconnector = \"cloud\"\nparameters = {{ topic = \"up\", payload = \"${{payload}}\" }}\n\
         resource_opts = {{ buffer_mode = \"disk\" }}\n"
    )
}

/// Publishes numbers, each acknowledged before the next.
async fn publish(gate: &Sluicegate, numbers: std::ops::Range<usize>) {
    let device = Client::connect(gate.mqtt(), "device").await;
    for n in numbers {
        device.publish("t/1", n.to_string(), 1).await;
    }
}

async fn takes(reader: &Client, numbers: std::ops::Range<usize>) {
    let found: Vec<usize> = reader.take("up", numbers.len()).await.iter().map(number).collect();
    assert!(found.iter().copied().eq(numbers), "{found:?}");
}

/// A step of its own in `cargo xtask test`, which says so where it is left out.
#[tokio::test]
#[ignore = "needs an /etc/hosts of its own, by `unshare`, which containers often forbid"]
async fn a_name_that_leads_elsewhere_is_looked_up_again() {
    let names = |address: &str| format!("127.0.0.1 localhost\n{address} remote.test\n");
    let mut before = Mosquitto::start().await;
    let port = before.address().port();
    let after = Mosquitto::builder().line(&format!("listener {port} 127.0.0.2")).start().await;
    let gate = gate()
        .names(&names("127.0.0.1"))
        .file("cloud.toml", &bridge(&format!("remote.test:{port}"), ""))
        .rule("up", UP)
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::connect(before.address(), "reader").await;
    reader.subscribe("up", 1).await;
    publish(&gate, 0..3).await;
    takes(&reader, 0..3).await;

    let reader = Client::connect(after.address(), "reader").await;
    reader.subscribe("up", 1).await;
    before.stop().await;
    publish(&gate, 3..6).await;
    gate.set_names(&names("127.0.0.2"));
    takes(&reader, 3..6).await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    gate.wait_metric("/actions/mqtt:uplink", "success", 6).await;
}

#[tokio::test]
async fn a_remote_whose_certificate_has_expired_is_named_so_and_loses_nothing() {
    let mut remote = Mosquitto::builder().tls().start().await;
    let (address, ca) = remote.tls();
    let ca = std::fs::read_to_string(ca).expect("the certificates are there");
    let ssl = "ssl = { enable = true, cacertfile = \"ca.pem\" }";
    let gate = gate()
        .file("ca.pem", &ca)
        .file("cloud.toml", &bridge(&address.to_string(), ssl))
        .rule("up", UP)
        .start()
        .await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let again = async |remote: &mut Mosquitto| {
        remote.stop().await;
        remote.resume().await;
    };

    remote.certificates().expire();
    again(&mut remote).await;
    wait_for("the status says that the certificate has expired", async || {
        let answer = gate.http().get("/api/v5/connectors/mqtt:cloud").await.expect(200);
        let reason = answer.at("/status_reason").as_str().unwrap_or_default().to_owned();
        let said = reason.contains("TLS: the remote's certificate has expired");
        (said && answer.at("/status") == "disconnected").then_some(()).ok_or_else(|| answer.to_string())
    })
    .await;
    publish(&gate, 0..5).await;
    gate.wait_metric("/actions/mqtt:uplink", "queuing", 5).await;

    remote.certificates().renew();
    again(&mut remote).await;
    let reader = Client::connect(remote.address(), "reader").await;
    reader.subscribe("up", 1).await;
    takes(&reader, 0..5).await;
    gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    gate.wait_metric("/actions/mqtt:uplink", "success", 5).await;
}
