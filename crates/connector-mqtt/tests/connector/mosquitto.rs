//! Against a real broker.

use std::collections::HashSet;

use connector::State;
use testkit::{Client, Mosquitto, wait_for, wait_until};

use crate::house::{Action, House, later, open, source, source_status, status};

#[tokio::test]
async fn both_directions_in_every_version() {
    for version in ["v3", "v4", "v5"] {
        let (remote, action, house) = (Mosquitto::start().await, Action::new(1), House::new());
        let toml = format!("server = \"{}\"\npool_size = 3\nproto_ver = \"{version}\"", remote.address());
        let connector = open(&toml, &house);
        connector.attach(&action.queue, &action.settings);
        connector.add_source(source("down", "parameters = { topic = \"back/#\" }"));
        source_status(&connector, "down", State::Connected, "").await;
        let client = Client::connect(remote.address(), "tester").await;
        client.subscribe("t/#", 1).await;
        for number in 0..200 {
            action.send(&format!("t/{}", number % 5), &number.to_string());
        }
        assert_eq!(action.drained().await.counters.success, 200, "{version}");
        wait_until("all have come", async || client.waiting("t/#").len() == 200).await;
        let of_one: Vec<usize> = client
            .waiting("t/3")
            .iter()
            .map(|message| String::from_utf8_lossy(&message.payload).parse().unwrap())
            .collect();
        assert!(of_one.is_sorted() && of_one.len() == 40, "{version}: {of_one:?}");
        client.publish("back/1", "hello", 1).await;
        assert_eq!(house.wait_seen(1).await[0].payload, "hello");
        connector.stop(later()).await;
    }
}

#[tokio::test]
async fn a_restart_in_the_middle_loses_nothing() {
    let mut remote = Mosquitto::builder().keeps().start().await;
    let (action, house) = (Action::new(1), House::new());
    let toml =
        format!("server = \"{}\"\npool_size = 2\nproto_ver = \"v5\"\nclean_start = false", remote.address());
    let connector = open(&toml, &house);
    connector.attach(&action.queue, &action.settings);
    connector.add_source(source("down", "parameters = { topic = \"t\" }"));
    source_status(&connector, "down", State::Connected, "").await;
    action.send_numbers(0..500);
    remote.stop().await;
    action.send_numbers(500..1000);
    status(&connector, State::Disconnected, "").await;
    remote.resume().await;
    assert_eq!(action.drained().await.counters.success, 1000);
    let expected: HashSet<String> = (0..1000).map(|number| number.to_string()).collect();
    wait_for("every message has come back", async || {
        let seen: HashSet<String> = house.payloads().into_iter().collect();
        if seen == expected { Ok(()) } else { Err(format!("{} of 1000", seen.len())) }
    })
    .await;
    // Duplicates are possible, disorder among first sendings is not.
    let (mut seen, mut firsts) = (HashSet::new(), Vec::new());
    for payload in house.payloads() {
        if seen.insert(payload.clone()) {
            firsts.push(payload.parse::<usize>().unwrap());
        }
    }
    assert!(firsts.is_sorted(), "{firsts:?}");
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own() {
    let remote = Mosquitto::builder().tls().user("plant", "secret").start().await;
    let (address, ca) = remote.tls();
    let toml = format!(
        "server = \"mqtts://localhost:{}\"\npool_size = 1\nusername = \"plant\"\npassword = \"secret\"\nssl = {{ cacertfile = \"{}\" }}",
        address.port(),
        ca.display()
    );
    let (action, house) = (Action::new(1), House::new());
    let connector = open(&toml, &house);
    connector.attach(&action.queue, &action.settings);
    action.send("t", "safe");
    assert_eq!(action.drained().await.counters.success, 1);
    status(&connector, State::Connected, "").await;

    let wrong = open(&toml.replace("password = \"secret\"", "password = \"wrong\""), &house);
    status(&wrong, State::Disconnected, "MQTT login: the remote refused").await;
    let folder = tempfile::tempdir().unwrap();
    let other = testkit::Certificates::write(folder.path());
    let distrusted = open(&toml.replace(&*ca.to_string_lossy(), &other.ca.to_string_lossy()), &house);
    status(&distrusted, State::Disconnected, "TLS: invalid peer certificate").await;
    let named = toml.replace("ssl = {", "ssl = { server_name_indication = \"elsewhere.example\",");
    status(&open(&named, &house), State::Disconnected, "TLS: invalid peer certificate").await;
    let blind = open(&named.replace("ssl = {", "ssl = { verify = \"verify_none\","), &house);
    status(&blind, State::Connected, "").await;
}

#[tokio::test]
async fn a_lasting_session_collects_while_we_are_away() {
    let remote = Mosquitto::start().await;
    let house = House::new();
    let toml = format!("server = \"{}\"\npool_size = 1\nclean_start = false", remote.address());
    let connector = open(&toml, &house);
    connector.add_source(source("down", "parameters = { topic = \"t\" }"));
    source_status(&connector, "down", State::Connected, "").await;
    connector.stop(later()).await;
    let client = Client::connect(remote.address(), "tester").await;
    client.publish("t", "meanwhile", 1).await;
    let successor = open(&toml, &house);
    successor.add_source(source("down", "parameters = { topic = \"t\" }"));
    assert_eq!(house.wait_seen(1).await[0].payload, "meanwhile");
}
