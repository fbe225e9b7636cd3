//! A client library that knows nothing of ours.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};

use crate::server::Server;

#[tokio::test]
async fn rumqttc_of_mqtt_311_publishes_and_receives_at_every_qos() {
    let server = Server::start().await;
    let mut options = MqttOptions::new("rumqttc", "127.0.0.1", server.address.port());
    options.set_keep_alive(Duration::from_secs(5));
    let (client, mut events) = AsyncClient::new(options, 10);
    let talk = async move {
        client.subscribe("t/+", QoS::ExactlyOnce).await.unwrap();
        for number in 0..300u32 {
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number as usize % 3];
            client.publish(format!("t/{number}"), qos, false, number.to_string()).await.unwrap();
        }
        client
    };
    let talk = tokio::spawn(talk);
    let mut got = Vec::new();
    while got.len() < 300 {
        let event = tokio::time::timeout(Duration::from_secs(20), events.poll()).await;
        if let Event::Incoming(Packet::Publish(publish)) = event.unwrap().unwrap() {
            got.push(String::from_utf8_lossy(&publish.payload).parse::<u32>().unwrap());
        }
    }
    assert_eq!(got, (0..300).collect::<Vec<_>>());
    talk.await.unwrap();
}

#[tokio::test]
async fn rumqttc_of_mqtt_5_publishes_and_receives_at_every_qos() {
    let server = Server::start().await;
    let mut options = rumqttc::v5::MqttOptions::new("rumqttc", "127.0.0.1", server.address.port());
    options.set_keep_alive(Duration::from_secs(5));
    let (client, mut events) = rumqttc::v5::AsyncClient::new(options, 10);
    let talk = async move {
        client.subscribe("t/+", QoS5::ExactlyOnce).await.unwrap();
        for number in 0..300u32 {
            let qos = [QoS5::AtMostOnce, QoS5::AtLeastOnce, QoS5::ExactlyOnce][number as usize % 3];
            client.publish(format!("t/{number}"), qos, false, number.to_string()).await.unwrap();
        }
        client
    };
    let talk = tokio::spawn(talk);
    let mut got = Vec::new();
    while got.len() < 300 {
        let event = tokio::time::timeout(Duration::from_secs(20), events.poll()).await;
        let event = event.unwrap().unwrap();
        if let rumqttc::v5::Event::Incoming(rumqttc::v5::mqttbytes::v5::Packet::Publish(publish)) = event {
            got.push(String::from_utf8_lossy(&publish.payload).parse::<u32>().unwrap());
        }
    }
    assert_eq!(got, (0..300).collect::<Vec<_>>());
    talk.await.unwrap();
}
