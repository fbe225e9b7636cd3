//! The sample rules that a newcomer finds: they load without a word, and do what they say.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Client, Sluicegate};

use crate::{PROGRAM, gate};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules")
}

/// Every file of the samples: its name below their folder, and its text.
fn files() -> Vec<(String, String)> {
    let (mut files, mut folders) = (Vec::new(), vec![folder()]);
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(&inside).expect("the samples are there") {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder()).expect("it is below").to_str().expect("a plain name");
            files.push((name.to_owned(), std::fs::read_to_string(&path).expect("a sample is text")));
        }
    }
    files
}

/// The server with the sample rules, and nothing but them.
async fn samples() -> Sluicegate {
    files().iter().fold(gate(), |builder, (name, text)| builder.file(name, text)).start().await
}

fn payload(message: &testkit::Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap_or_else(|error| panic!("{error}: {message:?}"))
}

#[test]
fn check_has_nothing_to_say_about_them() {
    let output =
        Command::new(PROGRAM).args(["check", "--format", "json", "--rules"]).arg(folder()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""));
}

#[test]
fn test_finds_their_cases_in_order() {
    let output = Command::new(PROGRAM).args(["test", "--rules"]).arg(folder()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn a_hot_reading_raises_an_alarm() {
    let gate = samples().await;
    let client = Client::connect(gate.mqtt(), "boiler").await;
    client.subscribe("alarm/#", 1).await;
    client.publish("temp_hum/boiler", r#"{"temp": 27.5, "hum": 41.8}"#, 1).await;
    client.publish("temp_hum/boiler", r#"{"temp": 31.5, "hum": 40}"#, 1).await;
    let alarm = client.next("alarm/#").await;
    assert_eq!(alarm.topic, "alarm/boiler");
    assert_eq!(payload(&alarm)["temp"], 31.5);
    client.nothing("alarm/#").await;
}

#[tokio::test]
async fn the_last_state_is_there_for_whoever_comes_late() {
    let gate = samples().await;
    let client = Client::connect(gate.mqtt(), "c1").await;
    client.publish("temp_hum/hall", r#"{"temp": 21, "hum": 45}"#, 1).await;
    gate.wait_metric("/rules/last-state", "passed", 1).await;
    let late = Client::connect(gate.mqtt(), "late").await;
    late.subscribe("state/#", 1).await;
    let state = late.next("state/#").await;
    assert_eq!((state.topic.as_str(), state.retain), ("state/temp_hum/hall", true));
    assert_eq!(payload(&state)["comfort"], "pleasant");
}

#[tokio::test]
async fn a_batch_becomes_one_message_per_sensor() {
    let gate = samples().await;
    let client = Client::connect(gate.mqtt(), "c1").await;
    client.subscribe("plant/+/sensor/+", 1).await;
    let batch = json!({"sensors": [{"id": "a", "value": 1.5}, {"id": "b"}, {"id": "c", "value": 7}]});
    client.publish("plant/7/batch", batch.to_string(), 1).await;
    let first = client.next("plant/7/sensor/a").await;
    assert_eq!(payload(&first), json!({"id": "a", "value": 1.5, "line": "7"}));
    let second = client.next("plant/7/sensor/c").await;
    assert_eq!(payload(&second), json!({"id": "c", "value": 7, "line": "7"}));
    client.nothing("plant/+/sensor/+").await;
}

#[tokio::test]
async fn the_cases_beside_them_hold_over_http_too() {
    let gate = samples().await;
    let mut tried = 0;
    for (name, text) in files() {
        let Some(stem) = name.strip_suffix(".test.toml") else { continue };
        let path = format!("/api/v5/rules/{}/test", stem.rsplit('/').next().unwrap_or(stem));
        let file: Value = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for case in file["case"].as_array().expect("a test file has cases") {
            let mut context = case["context"].clone();
            if context.get("event_type").is_none() {
                context["event_type"] = "message_publish".into();
            }
            let answer = gate.http().post(&path, &json!({ "context": context })).await;
            match case.get("output") {
                Some(output) => assert_eq!(&answer.expect(200).json(), output, "{name}: {}", case["name"]),
                None => drop(answer.expect(412)),
            }
            tried += 1;
        }
    }
    assert!(tried > 0, "no sample has cases");
}
