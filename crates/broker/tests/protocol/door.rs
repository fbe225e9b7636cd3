//! Who is let in, what they may do, and what they may cost.

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use broker::{
    AccessList, Acl, AclRule, Auth, Checked, DenyAction, Identity, Login, Permission, ReasonCode, Refused,
};
use event::EventKind;
use topic::AccessPattern;

use crate::raw::{Client, Hello, message};
use crate::server::{Server, until};

/// Knows `ann` and her password, and lets her stay for so long.
struct Ann {
    valid_for: Option<Duration>,
}

impl Auth for Ann {
    fn check<'a>(&'a self, login: Login<'a>) -> Checked<'a> {
        let answer = match (login.username, login.password) {
            (Some("ann"), Some(b"secret")) => Ok(Identity {
                username: Some("Ann herself".to_owned()),
                expires_at: self.valid_for.map(|valid_for| SystemTime::now() + valid_for),
                is_anonymous: false,
            }),
            (None, _) => Err(ReasonCode::NotAuthorized),
            (Some(_), _) => Err(ReasonCode::BadUserNameOrPassword),
        };
        Box::pin(ready(answer))
    }
}

async fn with_ann(valid_for: Option<Duration>) -> Server {
    Server::with(|config| config.auth = Arc::new(Ann { valid_for })).await
}

fn refused(server: &Server, why: Refused) -> u64 {
    let at = Refused::ALL.iter().position(|it| *it == why).unwrap();
    server.broker.listener_metrics()[0].refused[at]
}

#[tokio::test]
async fn users_are_known_by_their_password() {
    let server = with_ann(None).await;
    let (_, ack) = server.try_connect(Hello::v5("a").login("ann", "secret")).await;
    assert_eq!(ack.code, 0);
    let (mut client, ack) = server.try_connect(Hello::v5("a").login("ann", "wrong")).await;
    assert_eq!(ack.code, 0x86);
    assert_eq!(client.next().await, None);
    let (_, ack) = server.try_connect(Hello::v5("a")).await;
    assert_eq!(ack.code, 0x87);
    let (_, ack) = server.try_connect(Hello::v311("a").login("ann", "wrong")).await;
    assert_eq!(ack.code, 4);
    let (_, ack) = server.try_connect(Hello::v31("a")).await;
    assert_eq!(ack.code, 5);
    assert_eq!(server.broker.metrics().clients_refused, 4);
    assert_eq!((refused(&server, Refused::Credentials), refused(&server, Refused::NotAuthorized)), (2, 2));
}

#[tokio::test]
async fn mqtt_4_12_0_1_a_method_of_authentication_that_is_not_supported_is_refused() {
    let server = Server::start().await;
    let method = [&[0x15, 0, 5][..], b"SCRAM"].concat();
    let (mut client, ack) = server.try_connect(Hello::v5("a").property(&method)).await;
    assert_eq!(ack.code, 0x8C);
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_connection_ends_when_what_it_showed_is_no_longer_valid() {
    let server = with_ann(Some(Duration::from_millis(300))).await;
    let mut client = server.connect(Hello::v5("a").login("ann", "secret")).await;
    client.ended(0xA0).await;
    let left = &server.rules.seen(EventKind::ClientDisconnected)[0];
    assert_eq!((&*left.columns["reason"], &*left.columns["username"]), ("auth_expired", "Ann herself"));
    let server = with_ann(Some(Duration::ZERO)).await;
    let mut old = server.connect(Hello::v311("a").login("ann", "secret")).await;
    assert_eq!(old.next().await, None);
}

#[tokio::test]
async fn the_rules_hear_who_came_to_the_door() {
    let server = with_ann(None).await;
    server.rules.see_pings();
    let mut client = server.connect(Hello::v5("a").keep_alive(60).login("ann", "secret")).await;
    client.publish(&message("t", "x")).await;
    client.subscribe(&[("s/#", 1)]).await;
    client.ping().await;
    server.try_connect(Hello::v311("b").login("ann", "wrong")).await;

    let connacks = server.rules.seen(EventKind::ClientConnack);
    assert_eq!(connacks.len(), 2);
    let (yes, no) = (&connacks[0].columns, &connacks[1].columns);
    assert_eq!((&*yes["reason_code"], &*yes["clientid"], &*yes["keepalive"]), ("success", "a", "60"));
    assert_eq!(
        (&*no["reason_code"], &*no["username"], &*no["proto_ver"]),
        ("bad_username_or_password", "ann", "4")
    );
    let checked = server.rules.seen(EventKind::ClientCheckAuthnComplete);
    assert_eq!(
        (&*checked[0].columns["reason_code"], &*checked[0].columns["is_anonymous"]),
        ("success", "false")
    );
    assert_eq!(checked[0].columns["username"], "Ann herself");
    assert_eq!(checked[1].columns["reason_code"], "bad_username_or_password");
    let allowed: Vec<_> = server
        .rules
        .seen(EventKind::ClientCheckAuthzComplete)
        .iter()
        .map(|seen| ["action", "topic", "result", "authz_source"].map(|column| seen.columns[column].clone()))
        .collect();
    assert_eq!(allowed, [["publish", "t", "allow", "default"], ["subscribe", "s/#", "allow", "default"]]);
    let pings = server.rules.seen(EventKind::ClientPing);
    assert!(!pings.is_empty() && pings[0].columns["clientid"] == "a", "{pings:?}");
}

/// May publish below `in/` and its own id, and subscribe below `out/`.
fn acl(deny_action: DenyAction) -> Acl {
    let rule = |publish, topics: &[&str]| AclRule {
        permission: Permission::Allow,
        usernames: Vec::new(),
        clientids: Vec::new(),
        networks: Vec::new(),
        publish,
        subscribe: !publish,
        topics: topics.iter().map(|topic| AccessPattern::parse(topic).unwrap()).collect(),
        qos: [true; 3],
        retain: None,
    };
    let rules = vec![rule(true, &["in/#", "own/${clientid}"]), rule(false, &["out/#"])];
    Acl { rules, no_match: Permission::Deny, deny_action }
}

#[tokio::test]
async fn the_acl_stands_before_rules_subscribers_and_retained_messages() {
    let list = AccessList::new(acl(DenyAction::Ignore));
    let server = Server::with(|config| config.acl = Arc::clone(&list)).await;
    let mut client = server.client("c1").await;
    assert_eq!(client.subscribe(&[("out/+", 1), ("#", 1), ("in/#", 0)]).await, [1, 0x87, 0x87]);
    client.publish(&message("out/x", "no").qos(1, 1).retained()).await;
    assert_eq!(client.acked(0x40, 1).await, 0x87);
    client.publish(&message("own/c2", "no").qos(2, 2)).await;
    assert_eq!(client.acked(0x50, 2).await, 0x87);
    client.publish(&message("own/c1", "yes").qos(1, 3)).await;
    client.acked(0x40, 3).await;
    assert_eq!(server.rules.payloads(), ["yes"]);
    let metrics = server.broker.metrics();
    assert_eq!((metrics.retained, metrics.dropped_not_authorized), (0, 2));

    let mut old = server.connect(Hello::v311("c2")).await;
    assert_eq!(old.subscribe(&[("#", 1)]).await, [0x80]);

    list.replace(Acl { no_match: Permission::Allow, ..acl(DenyAction::Ignore) });
    assert_eq!(client.subscribe(&[("#", 1)]).await, [1], "the new list counts at once");
}

#[tokio::test]
async fn a_session_is_not_for_another_user_who_may_not_have_what_waits_in_it() {
    let for_ann = |mut acl: Acl| {
        acl.rules.iter_mut().for_each(|rule| rule.usernames = vec!["ann".to_owned()]);
        acl
    };
    let list = AccessList::new(for_ann(acl(DenyAction::Ignore)));
    let server = Server::with(|config| config.acl = Arc::clone(&list)).await;
    let as_user = |name: &str| Hello::v5("s").kept().login(name, "x");
    let mut ann = server.connect(as_user("ann")).await;
    assert_eq!(ann.subscribe(&[("out/#", 1)]).await, [1]);
    drop(ann);
    until(|| server.broker.metrics().connections == 0, "ann has left").await;

    list.replace(Acl { no_match: Permission::Deny, ..Acl::open() });
    let (ann, ack) = server.try_connect(as_user("ann")).await;
    assert!(ack.present, "what was subscribed stays, whatever becomes of the list");
    drop(ann);
    until(|| server.broker.metrics().connections == 0, "ann has left").await;

    list.replace(for_ann(acl(DenyAction::Ignore)));
    let (bob, ack) = server.try_connect(as_user("bob")).await;
    assert!(!ack.present);
    assert_eq!(server.broker.metrics().subscriptions, 0);
    drop(bob);
    until(|| server.broker.metrics().connections == 0, "bob has left").await;
    let (_ann, ack) = server.try_connect(as_user("ann")).await;
    assert!(ack.present, "bob's session has nothing that ann may not have");
}

#[tokio::test]
async fn wills_are_checked_when_they_are_left_and_when_they_go_out() {
    let list = AccessList::new(acl(DenyAction::Ignore));
    let server = Server::with(|config| config.acl = Arc::clone(&list)).await;
    let (_, ack) = server.try_connect(Hello::v5("c1").will("out/x", "no", 0, &[])).await;
    assert_eq!(ack.code, 0x87);
    let will = server.connect(Hello::v5("c1").will("in/x", "gone", 0, &[])).await;
    list.replace(Acl { no_match: Permission::Deny, ..Acl::open() });
    drop(will);
    until(|| server.broker.metrics().dropped_not_authorized == 1, "it is dropped").await;

    list.replace(acl(DenyAction::Ignore));
    let delayed = Hello::v5("c1").kept().will("in/x", "late", 0, &[0x18, 0, 0, 0xFF, 0xFF]);
    drop(server.connect(delayed.clone()).await);
    until(|| server.broker.metrics().connections == 0, "it has left").await;
    list.replace(Acl { no_match: Permission::Deny, ..Acl::open() });
    // Clean Start ends the session, and the will is due.
    drop(server.client("c1").await);
    assert_eq!(server.broker.metrics().dropped_not_authorized, 2);
    assert!(server.rules.payloads().is_empty());

    list.replace(acl(DenyAction::Ignore));
    drop(server.connect(delayed).await);
    until(|| server.broker.metrics().connections == 0, "it has left").await;
    drop(server.client("c1").await);
    assert_eq!(server.rules.payloads(), ["late"]);
    let asked = server.rules.seen(EventKind::ClientCheckAuthzComplete);
    let answers: Vec<_> = asked.iter().map(|seen| &*seen.columns["result"]).collect();
    assert_eq!(answers, ["deny", "deny", "allow"]);
}

#[tokio::test]
async fn the_acl_can_end_connections() {
    let list = AccessList::new(acl(DenyAction::Disconnect));
    let server = Server::with(|config| config.acl = list).await;
    let mut client = server.client("c1").await;
    client.publish(&message("elsewhere", "x")).await;
    client.ended(0x87).await;
    let mut client = server.connect(Hello::v311("c1")).await;
    client.publish(&message("elsewhere", "x").qos(1, 1)).await;
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn connections_are_bounded_and_one_too_many_is_told() {
    let server = Server::with(|config| config.limits.connections_max = 2).await;
    let one = server.client("1").await;
    let _two = server.client("2").await;
    let (mut three, ack) = server.try_connect(Hello::v5("3")).await;
    assert_eq!(ack.code, 0x97);
    assert_eq!(three.next().await, None);
    let (_, ack) = server.try_connect(Hello::v311("3")).await;
    assert_eq!(ack.code, 3);
    assert_eq!(refused(&server, Refused::Full), 2);
    one.disconnect().await;
    until(|| server.broker.listener_metrics()[0].connections == 1, "only one is left").await;
    server.client("3").await.ping().await;
}

#[tokio::test]
async fn connections_that_come_too_fast_wait() {
    let server = Server::with(|config| config.limits.connection_rate_max = Some(5)).await;
    let start = Instant::now();
    for _ in 0..8 {
        server.client("c").await;
    }
    assert!(start.elapsed() > Duration::from_millis(300), "{:?}", start.elapsed());
}

#[tokio::test]
async fn messages_that_come_too_fast_are_read_later_and_none_is_lost() {
    let server = Server::with(|config| config.limits.message_rate_max = Some(20)).await;
    let mut client = server.connect(Hello::v5("c").keep_alive(1)).await;
    let start = Instant::now();
    for id in 1..=60 {
        client.publish(&message("t", &id.to_string()).qos(1, id)).await;
    }
    for id in 1..=60 {
        client.acked(0x40, id).await;
    }
    assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
    assert_eq!(server.rules.payloads().len(), 60);
}

#[tokio::test]
async fn deep_topics_and_long_client_ids_are_refused() {
    let server = Server::with(|config| {
        config.limits.topic_levels_max = 3;
        config.limits.clientid_bytes_max = 8;
    })
    .await;
    let mut client = server.client("12345678").await;
    assert_eq!(client.subscribe(&[("a/b/#", 0), ("a/b/c/#", 0)]).await, [0, 0x8F]);
    client.publish(&message("x/y/z", "x").qos(1, 1)).await;
    assert_eq!(client.acked(0x40, 1).await, 0);
    client.publish(&message("x/y/z/d", "x").qos(1, 2)).await;
    assert_eq!(client.acked(0x40, 2).await, 0x90);
    assert_eq!(server.broker.metrics().dropped_topic_too_deep, 1);
    let (_, ack) = server.try_connect(Hello::v5("will").will("x/y/z/d", "x", 0, &[])).await;
    assert_eq!(ack.code, 0x90);
    server.connect(Hello::v5("will").will("x/y/z", "x", 0, &[])).await;
    let (_, ack) = server.try_connect(Hello::v5("123456789")).await;
    assert_eq!(ack.code, 0x85);
    let (_, ack) = server.try_connect(Hello::v311("123456789")).await;
    assert_eq!(ack.code, 2);
}

#[tokio::test]
async fn mqtt_3_1_2_21_a_keep_alive_that_is_too_long_is_replaced() {
    let server = Server::with(|config| config.limits.keepalive_max = Some(30)).await;
    for (asked, told) in [(0, Some(30)), (31, Some(30)), (30, None), (10, None)] {
        let (_, ack) = server.try_connect(Hello::v5("c").keep_alive(asked)).await;
        let expected: Option<[u8; 3]> = told.map(|seconds| [0x13, 0, seconds]);
        let found =
            ack.properties.windows(3).any(|window| Some(window) == expected.as_ref().map(|it| &it[..]));
        assert_eq!(found, expected.is_some(), "{asked}: {:?}", ack.properties);
    }
}

#[tokio::test]
async fn mqtt_3_1_2_27_no_more_topic_aliases_are_given_than_the_client_takes() {
    let server = Server::start().await;
    let mut subscriber = server.connect(Hello::v5("s").property(&[0x22, 0, 1])).await;
    let mut plain = server.client("plain").await;
    subscriber.subscribe(&[("#", 0)]).await;
    plain.subscribe(&[("#", 0)]).await;
    let mut publisher = server.client("p").await;
    for topic in ["t/1", "t/1", "t/2"] {
        publisher.publish(&message(topic, "x")).await;
    }
    let alias = [0x23, 0, 1];
    for (topic, properties) in [("t/1", &alias[..]), ("", &alias), ("t/2", &[])] {
        let came = subscriber.message().await;
        assert_eq!((&*came.topic, &came.properties[..]), (topic, properties));
    }
    for topic in ["t/1", "t/1", "t/2"] {
        assert_eq!((&*plain.message().await.topic, 0), (topic, 0));
    }
}

#[tokio::test]
async fn a_connect_larger_than_any_honest_one_is_refused_before_it_is_read() {
    let server = Server::with(|config| config.limits.packet_bytes_max = 64 << 20).await;
    let mut client = Client::open(server.address, 5).await;
    client.try_send(&[0x10, 0x80, 0x80, 0x80, 0x10]).await;
    assert_eq!(client.next().await, None);
    assert_eq!(refused(&server, Refused::Malformed), 1);
}
