//! The kit itself, tried on the real mosquitto.

use testkit::{Client, Mosquitto, Publish, Version};

#[tokio::test]
async fn both_versions_send_and_receive_at_every_qos() {
    let remote = Mosquitto::start().await;
    for version in [Version::V4, Version::V5] {
        let client = Client::builder("c1").version(version).connect(remote.address()).await;
        client.subscribe("t/#", 2).await;
        remote.wait_subscribed("t/#").await;
        for qos in 0..=2 {
            client.publish("t/1", format!("{qos}"), qos).await;
        }
        for qos in 0..=2 {
            let message = client.next("t/+").await;
            assert_eq!((message.payload, message.qos), (vec![b'0' + qos], qos));
        }
        client.nothing("t/#").await;
        client.disconnect().await;
    }
}

#[tokio::test]
async fn a_session_outlives_a_restart() {
    let mut remote = Mosquitto::builder().keeps().start().await;
    let reader = Client::builder("reader").keeps_session().connect(remote.address()).await;
    reader.subscribe("t/#", 1).await;
    let writer = Client::connect(remote.address(), "writer").await;
    writer.publish("t/1", "before", 1).await;
    let kept =
        Publish { topic: "t/2".into(), payload: b"kept".into(), qos: 1, retain: true, properties: None };
    writer.send(kept).await.wait(&writer).await;

    remote.stop().await;
    remote.resume().await;

    let late = Client::connect(remote.address(), "late").await;
    late.subscribe("t/#", 1).await;
    assert!(late.next("t/2").await.retain);
    assert_eq!(reader.next("t/1").await.payload, b"before");
    testkit::wait_until("the reader is back", async || reader.connections() == 2).await;
}

#[tokio::test]
async fn only_who_knows_the_password_gets_in() {
    let remote = Mosquitto::builder().user("plant7", "secret").tls().start().await;
    let client = Client::builder("c1").user("plant7", "secret").connect(remote.address()).await;
    client.publish("t", "", 1).await;
    let (address, ca) = remote.tls();
    assert!(ca.exists() && address != remote.address());
}

#[tokio::test]
#[should_panic(expected = "cannot connect")]
async fn who_does_not_know_it_does_not() {
    let remote = Mosquitto::builder().user("plant7", "secret").start().await;
    Client::builder("c1").user("plant7", "wrong").connect(remote.address()).await;
}
