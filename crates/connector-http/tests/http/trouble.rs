//! What fails: servers that are away, silent, busy or unwilling, and addresses that are off limits.

use std::time::Duration;

use connector::{Guard, State};
use testkit::free_port;

use crate::far::{Far, Say};
use crate::house::{Action, context, open, open_guarded, settings, status};

#[tokio::test]
async fn nothing_is_lost_while_the_server_is_away() {
    let address = format!("127.0.0.1:{}", free_port());
    let connector = open(&format!("url = \"http://{address}\""));
    status(&connector, State::Disconnected, "TCP").await;
    status(&connector, State::Disconnected, "refused").await;
    let action = Action::served(&connector, "", "");
    for number in 0..10 {
        action.send(&number.to_string(), "x");
    }
    let far = Far::at(address.parse().unwrap()).await;
    let reading = action.drained().await;
    assert_eq!((reading.counters.success, reading.counters.failed), (10, 0));
    assert_eq!(far.seen().len(), 10);
    status(&connector, State::Connected, "").await;
}

#[tokio::test]
async fn a_silent_server_is_asked_again() {
    let far = Far::start().await;
    let connector = open(&format!("url = \"{}\"", far.url()));
    let action = Action::served(&connector, ", request_timeout = \"100ms\"", "");
    far.say([Say::Silence(Duration::from_secs(60))]);
    action.send("a", "1");
    let reading = action.drained().await;
    assert_eq!((reading.counters.success, reading.counters.retried), (1, 1));
}

#[tokio::test]
async fn a_busy_server_gets_the_time_it_asks_for() {
    let far = Far::start().await;
    let connector = open(&format!("url = \"{}\"", far.url()));
    let action = Action::served(&connector, "", "");
    far.say([Say::After(429, 1)]);
    let begun = std::time::Instant::now();
    action.send("a", "1");
    status(&connector, State::Connecting, "429").await;
    assert_eq!(action.drained().await.counters.success, 1);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn what_the_server_refuses_is_final() {
    let far = Far::start().await;
    let connector = open(&format!("url = \"{}\"", far.url()));
    let action = Action::served(&connector, "", "");
    far.say([Say::Body(400, "no such plant".to_owned()), Say::Status(302)]);
    action.send("a", "1");
    action.send("a", "2");
    action.send("a", "3");
    let reading = action.drained().await;
    assert_eq!((reading.counters.failed, reading.counters.success), (2, 1));
    // Redirects are not followed: that would be another address than the one that was configured.
    assert_eq!(far.bodies(), ["1", "2", "3"]);
}

#[tokio::test]
async fn no_request_goes_where_the_guard_forbids() {
    let far = Far::start().await;
    let port = far.address.port();
    let guard = || Guard::new(Vec::new(), None, ["localhost".to_owned()]);
    for (url, words) in [
        (format!("http://127.0.0.1:{port}"), "127.0.0.0/8"),
        (format!("http://[::ffff:127.0.0.1]:{port}"), "127.0.0.0/8"),
        (format!("http://LOCALHOST:{port}"), "deny_hosts"),
    ] {
        let connector = open_guarded(&format!("url = \"{url}\""), guard());
        status(&connector, State::Disconnected, words).await;
        let action = Action::served(&connector, "", "");
        action.send("a", "1");
        let probe = (connector_http::KIND.probe)(
            settings(&format!("url = \"{url}\""), connector_http::KIND.fields),
            context(guard()),
            Duration::from_secs(5),
        );
        assert!(probe.await.unwrap_err().to_string().contains(words));
    }
    assert!(far.seen().is_empty());
    let excepted = Guard::new(vec!["127.0.0.1/32".parse().unwrap()], None, []);
    let connector = open_guarded(&format!("url = \"{}\"", far.url()), excepted);
    status(&connector, State::Connected, "").await;
}
