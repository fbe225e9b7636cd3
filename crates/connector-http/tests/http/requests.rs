//! What is sent: methods, paths, headers, bodies, batches, order.

use axum::http::Method;
use connector::State;

use crate::far::{Far, Say};
use crate::house::{Action, later, open, status};

#[tokio::test]
async fn a_row_becomes_a_request() {
    let far = Far::start().await;
    let connector = open(&format!(
        "url = \"{}/in/\"\nheaders = {{ x-plant = \"7\", x-both = \"connector\" }}\nusername = \"u\"\npassword = \"p\"",
        far.url()
    ));
    status(&connector, State::Connected, "").await;
    let parameters = ", method = \"put\", headers = { x-both = \"action\", x-topic = \"${topic}\", connection = \"keep-alive\" }";
    let action = Action::served(&connector, parameters, "");
    action.send("a b", "{\"t\":1}");
    let reading = action.drained().await;
    assert_eq!(reading.counters.success, 1);
    let seen = far.seen().remove(0);
    assert_eq!((seen.method, &*seen.target, &*seen.body), (Method::PUT, "/in/a%20b", "{\"t\":1}"));
    let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("x-plant").as_deref(), Some("7"));
    assert_eq!(header("x-both").as_deref(), Some("action"));
    assert_eq!(header("x-topic").as_deref(), Some("a b"));
    assert_eq!(header("content-type").as_deref(), Some("application/json"));
    assert_eq!(header("authorization").as_deref(), Some("Basic dTpw"));
    assert!(header("user-agent").unwrap().starts_with("sluicegate/"));
}

#[tokio::test]
async fn what_must_stay_in_order_does_over_retries_and_with_many_at_once() {
    let far = Far::start().await;
    let connector = open(&format!("url = \"{}\"\npool_size = 4", far.url()));
    let action = Action::served(&connector, "", "");
    far.say([Say::Status(503), Say::Status(200), Say::Status(502)]);
    for number in 0..20 {
        for topic in ["a", "b", "c", "d", "e"] {
            action.send(topic, &number.to_string());
        }
    }
    let reading = action.drained().await;
    assert_eq!((reading.counters.success, reading.counters.failed), (100, 0));
    assert_eq!(reading.counters.retried, 2);
    for topic in ["/a", "/b", "/c", "/d", "/e"] {
        let seen = far.seen().into_iter().filter(|seen| seen.target == topic);
        let mut numbers: Vec<usize> = seen.map(|seen| seen.body.parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "{topic}: {numbers:?}");
        numbers.dedup();
        assert_eq!(numbers.len(), 20);
    }
}

#[tokio::test]
async fn actions_take_turns_where_there_is_room_for_one_request() {
    let far = Far::start().await;
    let connector = open(&format!("url = \"{}\"\npool_size = 1\nenable_pipelining = 1", far.url()));
    status(&connector, State::Connected, "").await;
    let (busy, calm) = (Action::named("http:busy", "", ""), Action::named("http:calm", "", ""));
    for number in 0..40 {
        busy.send(&format!("busy/{number}"), "x");
    }
    calm.send("calm", "x");
    for action in [&busy, &calm] {
        connector.attach(&action.queue, &action.settings);
    }
    busy.drained().await;
    calm.drained().await;
    let seen = far.seen();
    let place = seen.iter().position(|seen| seen.target == "/calm").unwrap();
    assert!(place <= 3, "{place} of the other's requests went first");
}

#[tokio::test]
async fn a_batch_holds_what_agrees_but_for_the_body() {
    let far = Far::start().await;
    let connector = open(&format!("url = \"{}\"\npool_size = 1", far.url()));
    let action = Action::new("", "batch_size = 3, batch_time = \"20ms\"");
    for number in 0..7 {
        action.send("a", &number.to_string());
    }
    action.send("b", "7");
    connector.attach(&action.queue, &action.settings);
    assert_eq!(action.drained().await.counters.success, 8);
    let mut seen: Vec<_> =
        far.seen().into_iter().map(|seen| format!("{} {}", seen.target, seen.body)).collect();
    let others = seen.extract_if(.., |seen| !seen.starts_with("/a")).collect::<Vec<_>>();
    assert_eq!(others, ["/b 7"]);
    // Which of them share a request depends on the moment; that they come in order, at most three at once, does not.
    let numbers: Vec<Vec<u32>> = seen
        .iter()
        .map(|seen| serde_json::from_str(&seen[3..]).unwrap_or_else(|_| vec![seen[3..].parse().unwrap()]))
        .collect();
    assert!(numbers.iter().all(|batch| batch.len() <= 3));
    assert_eq!(numbers.concat(), [0, 1, 2, 3, 4, 5, 6]);
    assert!(numbers.len() < 7, "{numbers:?}");
}

#[tokio::test]
async fn one_bad_request_does_not_sink_its_batch() {
    let far = Far::start().await;
    let connector = open(&format!("url = \"{}\"\npool_size = 1", far.url()));
    far.refuse("poison", 422);
    let action = Action::new("", "batch_size = 4, batch_time = \"1s\"");
    for body in ["1", "2", "\"poison\"", "4"] {
        action.send("a", body);
    }
    connector.attach(&action.queue, &action.settings);
    let reading = action.drained().await;
    assert_eq!((reading.counters.success, reading.counters.failed), (3, 1));
    assert_eq!(far.bodies(), ["[1,2,\"poison\",4]", "1", "2", "\"poison\"", "4"]);
}

#[tokio::test]
async fn changed_settings_act_without_losing_anything() {
    let far = Far::start().await;
    let connector = open(&format!("url = \"{}\"", far.url()));
    let action = Action::served(&connector, "", "");
    action.send("a", "1");
    action.drained().await;
    let changed = Action::new(", retry_statuses = [\"404\"]", "");
    connector.attach(&action.queue, &changed.settings);
    far.say([Say::Status(404)]);
    action.send("a", "2");
    let reading = action.drained().await;
    assert_eq!((reading.counters.success, reading.counters.retried), (2, 1));
}

#[tokio::test]
async fn stopping_sends_what_waits() {
    let far = Far::start().await;
    let connector = open(&format!("url = \"{}\"\npool_size = 1", far.url()));
    let action = Action::served(&connector, "", "");
    for number in 0..50 {
        action.send("a", &number.to_string());
    }
    connector.stop(later()).await;
    assert_eq!(action.reading().counters.success, 50);
    assert_eq!(connector.status().state, State::Stopped);
}
