//! The events: a long table on purpose, each with everything that is known of it in one place.

use crate::Column;

/// What sort of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// An alarm of this node went up.
    AlarmActivated,
    /// An alarm of this node went down again.
    AlarmDeactivated,
    /// A client has connected and been accepted.
    ClientConnected,
    /// A connection has ended, whoever ended it.
    ClientDisconnected,
    /// A CONNACK went out, with whatever reason code.
    ClientConnack,
    /// A client was authenticated or turned away.
    ClientCheckAuthnComplete,
    /// A publish or subscription was allowed or denied.
    ClientCheckAuthzComplete,
    /// A PINGREQ came in.
    ClientPing,
    /// A subscription was added to a session.
    SessionSubscribed,
    /// A subscription was taken from a session.
    SessionUnsubscribed,
    /// A message came in, and its publisher was allowed to send it.
    MessagePublish,
    /// A message went out to a subscriber.
    MessageDelivered,
    /// A subscriber acknowledged a message.
    MessageAcked,
    /// A message was not routed to anybody.
    MessageDropped,
    /// A message transformation failed.
    MessageTransformationFailed,
    /// A message did not pass its schema.
    SchemaValidationFailed,
    /// A message was not delivered to one subscriber.
    DeliveryDropped,
    /// A source received a message from its remote.
    Source,
}

impl EventKind {
    /// The number of kinds.
    pub const COUNT: usize = EVENTS.len();

    /// Its declaration.
    pub fn spec(self) -> &'static EventSpec {
        &EVENTS[self as usize]
    }
}

/// The declaration of one event: its names, its columns, and the values that the rule test endpoint fills in.
#[derive(Debug)]
pub struct EventSpec {
    /// The variant.
    pub kind: EventKind,
    /// What the `event` column shows.
    pub name: &'static str,
    /// What `context.event_type` of a rule test says.
    pub event_type: &'static str,
    /// What FROM says, current spelling first; empty for publishes and sources, whose FROM is a topic or a name.
    pub from: &'static [&'static str],
    /// A heading.
    pub title: &'static str,
    /// When it happens.
    pub description: &'static str,
    /// The columns with the examples that stand in for what a test context leaves out.
    pub columns: &'static [ExampleColumn],
    /// Columns that real events have and that a test does not fill in.
    pub unfilled: &'static [Column],
    /// A rule on this event.
    pub sql_example: &'static str,
}

/// A column and its example.
pub type ExampleColumn = (Column, Example);

/// The value that a test fills in for a column its context leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// A string.
    Text(&'static str),
    /// An integer.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// Anything, as JSON.
    Json(&'static str),
    /// The name of the event.
    Event,
    /// The current time (milliseconds since 1970 UTC).
    Now,
    /// A new message id.
    Id,
    /// The name of this node.
    Node,
    /// No value, though the column exists.
    Undefined,
}

/// Every event. Names, columns and example values are those of EMQX 5 (`GET /api/v5/rule_events`).
pub static EVENTS: &[EventSpec] = &[
    EventSpec {
        kind: EventKind::AlarmActivated,
        name: "alarm.activated",
        event_type: "alarm_activated",
        from: &["$events/sys/alarm_activated"],
        title: "Alarm activated",
        description: "An alarm of this node went up.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Name, Example::Text("alarm_name")),
            (Column::Details, Example::Json(r#"{"extra":"details"}"#)),
            (Column::Message, Example::Text("something is wrong")),
            (Column::ActivatedAt, Example::Int(1736512728666)),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/sys/alarm_activated\"",
    },
    EventSpec {
        kind: EventKind::AlarmDeactivated,
        name: "alarm.deactivated",
        event_type: "alarm_deactivated",
        from: &["$events/sys/alarm_deactivated"],
        title: "Alarm deactivated",
        description: "An alarm of this node went down again.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Name, Example::Text("alarm_name")),
            (Column::Details, Example::Json(r#"{"extra":"details"}"#)),
            (Column::Message, Example::Text("something is wrong")),
            (Column::ActivatedAt, Example::Int(1736512728666)),
            (Column::DeactivatedAt, Example::Int(1736512728999)),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/sys/alarm_deactivated\"",
    },
    EventSpec {
        kind: EventKind::ClientConnected,
        name: "client.connected",
        event_type: "client_connected",
        from: &["$events/client/connected", "$events/client_connected"],
        title: "Client connected",
        description: "A client has connected and been accepted.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Mountpoint, Example::Undefined),
            (Column::Peername, Example::Text("192.168.0.10:56431")),
            (Column::Sockname, Example::Text("0.0.0.0:1883")),
            (Column::ProtoName, Example::Text("MQTT")),
            (Column::ProtoVer, Example::Int(5)),
            (Column::Keepalive, Example::Int(60)),
            (Column::CleanStart, Example::Bool(true)),
            (Column::ExpiryInterval, Example::Int(3600)),
            (Column::IsBridge, Example::Bool(false)),
            (
                Column::ConnProps,
                Example::Json(
                    r#"{"Receive-Maximum":32,"Session-Expiry-Interval":7200,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::ConnectedAt, Example::Now),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
            (Column::ClientAttrs, Example::Json(r#"{"test":"example"}"#)),
        ],
        unfilled: &[Column::ReceiveMaximum],
        sql_example: "SELECT * FROM \"$events/client/connected\"",
    },
    EventSpec {
        kind: EventKind::ClientDisconnected,
        name: "client.disconnected",
        event_type: "client_disconnected",
        from: &["$events/client/disconnected", "$events/client_disconnected"],
        title: "Client disconnected",
        description: "A connection has ended, whoever ended it.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Reason, Example::Text("normal")),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Peername, Example::Text("192.168.0.10:56431")),
            (Column::Sockname, Example::Text("0.0.0.0:1883")),
            (Column::ProtoName, Example::Text("MQTT")),
            (Column::ProtoVer, Example::Int(5)),
            (
                Column::DisconnProps,
                Example::Json(
                    r#"{"Reason-String":"Redirect to another server","Server Reference":"192.168.22.129","Session-Expiry-Interval":7200,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::ConnectedAt, Example::Now),
            (Column::DisconnectedAt, Example::Now),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
            (Column::ClientAttrs, Example::Json(r#"{"test":"example"}"#)),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/client/disconnected\"",
    },
    EventSpec {
        kind: EventKind::ClientConnack,
        name: "client.connack",
        event_type: "client_connack",
        from: &["$events/client/connack", "$events/client_connack"],
        title: "Connection answered",
        description: "A CONNACK went out, with whatever reason code.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::ReasonCode, Example::Text("success")),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Peername, Example::Text("192.168.0.10:56431")),
            (Column::Sockname, Example::Text("0.0.0.0:1883")),
            (Column::ProtoName, Example::Text("MQTT")),
            (Column::ProtoVer, Example::Int(5)),
            (Column::Keepalive, Example::Int(60)),
            (Column::CleanStart, Example::Bool(true)),
            (Column::ExpiryInterval, Example::Int(3600)),
            (Column::ConnectedAt, Example::Now),
            (
                Column::ConnProps,
                Example::Json(
                    r#"{"Receive-Maximum":32,"Session-Expiry-Interval":7200,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/client/connack\"",
    },
    EventSpec {
        kind: EventKind::ClientCheckAuthnComplete,
        name: "client.check_authn_complete",
        event_type: "client_check_authn_complete",
        from: &["$events/auth/check_authn_complete", "$events/client_check_authn_complete"],
        title: "Authentication done",
        description: "A client was authenticated or turned away.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Peername, Example::Text("192.168.0.10:56431")),
            (Column::ReasonCode, Example::Text("success")),
            (Column::IsSuperuser, Example::Bool(true)),
            (Column::IsAnonymous, Example::Bool(false)),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
            (Column::ClientAttrs, Example::Json(r#"{"test":"example"}"#)),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/auth/check_authn_complete\"",
    },
    EventSpec {
        kind: EventKind::ClientCheckAuthzComplete,
        name: "client.check_authz_complete",
        event_type: "client_check_authz_complete",
        from: &["$events/auth/check_authz_complete", "$events/client_check_authz_complete"],
        title: "Authorization done",
        description: "A publish or subscription was allowed or denied.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Peerhost, Example::Text("192.168.0.10")),
            (Column::Peername, Example::Text("192.168.0.10:32781")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Action, Example::Text("publish")),
            (Column::AuthzSource, Example::Text("cache")),
            (Column::Result, Example::Text("allow")),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
            (Column::ClientAttrs, Example::Json(r#"{"test":"example"}"#)),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/auth/check_authz_complete\"",
    },
    EventSpec {
        kind: EventKind::ClientPing,
        name: "client.ping",
        event_type: "client_ping",
        from: &["$events/client/ping"],
        title: "Client ping",
        description: "A PINGREQ came in.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Peername, Example::Text("192.168.0.10:56431")),
            (Column::Sockname, Example::Text("0.0.0.0:1883")),
            (Column::ProtoName, Example::Text("MQTT")),
            (Column::ProtoVer, Example::Int(5)),
            (Column::Keepalive, Example::Int(60)),
            (Column::CleanStart, Example::Bool(true)),
            (Column::ExpiryInterval, Example::Int(3600)),
            (Column::ConnectedAt, Example::Now),
            (
                Column::ConnProps,
                Example::Json(
                    r#"{"Receive-Maximum":32,"Session-Expiry-Interval":7200,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/client/ping\"",
    },
    EventSpec {
        kind: EventKind::SessionSubscribed,
        name: "session.subscribed",
        event_type: "session_subscribed",
        from: &["$events/session/subscribed", "$events/session_subscribed"],
        title: "Subscribed",
        description: "A subscription was added to a session.",
        columns: &[
            (
                Column::SubProps,
                Example::Json(
                    r#"{"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::ClientAttrs, Example::Json(r#"{"test":"example"}"#)),
            (Column::Event, Example::Event),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Peerhost, Example::Text("192.168.0.10")),
            (Column::Peername, Example::Text("192.168.0.10:32781")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Qos, Example::Int(1)),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/session/subscribed\"",
    },
    EventSpec {
        kind: EventKind::SessionUnsubscribed,
        name: "session.unsubscribed",
        event_type: "session_unsubscribed",
        from: &["$events/session/unsubscribed", "$events/session_unsubscribed"],
        title: "Unsubscribed",
        description: "A subscription was taken from a session.",
        columns: &[
            (
                Column::UnsubProps,
                Example::Json(
                    r#"{"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::ClientAttrs, Example::Json(r#"{"test":"example"}"#)),
            (Column::Event, Example::Event),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Peerhost, Example::Text("192.168.0.10")),
            (Column::Peername, Example::Text("192.168.0.10:32781")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Qos, Example::Int(1)),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/session/unsubscribed\"",
    },
    EventSpec {
        kind: EventKind::MessagePublish,
        name: "message.publish",
        event_type: "message_publish",
        from: &[],
        title: "Message published",
        description: "A message came in, and its publisher was allowed to send it.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Id, Example::Id),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Payload, Example::Text(r#"{"msg": "hello"}"#)),
            (Column::Peerhost, Example::Text("192.168.0.10")),
            (Column::Peername, Example::Text("192.168.0.10:32781")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Qos, Example::Int(1)),
            (Column::Flags, Example::Json("{}")),
            (Column::PublishReceivedAt, Example::Now),
            (
                Column::PubProps,
                Example::Json(
                    r#"{"Message-Expiry-Interval":30,"Payload-Format-Indicator":0,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
            (Column::ClientAttrs, Example::Json(r#"{"test":"example"}"#)),
        ],
        unfilled: &[],
        sql_example: "SELECT payload.msg AS msg FROM \"t/#\" WHERE msg = 'hello'",
    },
    EventSpec {
        kind: EventKind::MessageDelivered,
        name: "message.delivered",
        event_type: "message_delivered",
        from: &["$events/message/delivered", "$events/message_delivered"],
        title: "Message delivered",
        description: "A message went out to a subscriber.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Id, Example::Id),
            (Column::FromClientid, Example::Text("c_emqx_1")),
            (Column::FromUsername, Example::Text("u_emqx_1")),
            (Column::Clientid, Example::Text("c_emqx_2")),
            (Column::Username, Example::Text("u_emqx_2")),
            (Column::Payload, Example::Text(r#"{"msg": "hello"}"#)),
            (Column::Peerhost, Example::Text("192.168.0.10")),
            (Column::Peername, Example::Text("192.168.0.10:32781")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Qos, Example::Int(1)),
            (Column::Flags, Example::Json("{}")),
            (Column::PublishReceivedAt, Example::Now),
            (
                Column::PubProps,
                Example::Json(
                    r#"{"Message-Expiry-Interval":30,"Payload-Format-Indicator":0,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/message/delivered\"",
    },
    EventSpec {
        kind: EventKind::MessageAcked,
        name: "message.acked",
        event_type: "message_acked",
        from: &["$events/message/acked", "$events/message_acked"],
        title: "Message acknowledged",
        description: "A subscriber acknowledged a message.",
        columns: &[
            (
                Column::PubackProps,
                Example::Json(
                    r#"{"Reason-String":"OK","User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::Event, Example::Event),
            (Column::Id, Example::Id),
            (Column::FromClientid, Example::Text("c_emqx_1")),
            (Column::FromUsername, Example::Text("u_emqx_1")),
            (Column::Clientid, Example::Text("c_emqx_2")),
            (Column::Username, Example::Text("u_emqx_2")),
            (Column::Payload, Example::Text(r#"{"msg": "hello"}"#)),
            (Column::Peerhost, Example::Text("192.168.0.10")),
            (Column::Peername, Example::Text("192.168.0.10:32781")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Qos, Example::Int(1)),
            (Column::Flags, Example::Json("{}")),
            (Column::PublishReceivedAt, Example::Now),
            (
                Column::PubProps,
                Example::Json(
                    r#"{"Message-Expiry-Interval":30,"Payload-Format-Indicator":0,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/message/acked\"",
    },
    EventSpec {
        kind: EventKind::MessageDropped,
        name: "message.dropped",
        event_type: "message_dropped",
        from: &["$events/message/dropped", "$events/message_dropped"],
        title: "Message dropped",
        description: "A message was not routed to anybody.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Id, Example::Id),
            (Column::Reason, Example::Text("no_subscribers")),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Payload, Example::Text(r#"{"msg": "hello"}"#)),
            (Column::Peerhost, Example::Text("192.168.0.10")),
            (Column::Peername, Example::Text("192.168.0.10:32781")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Qos, Example::Int(1)),
            (Column::Flags, Example::Json("{}")),
            (Column::PublishReceivedAt, Example::Now),
            (
                Column::PubProps,
                Example::Json(
                    r#"{"Message-Expiry-Interval":30,"Payload-Format-Indicator":0,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/message/dropped\"",
    },
    EventSpec {
        kind: EventKind::MessageTransformationFailed,
        name: "message.transformation_failed",
        event_type: "message_transformation_failed",
        from: &["$events/message_transformation/failed", "$events/message_transformation_failed"],
        title: "Transformation failed",
        description: "A message transformation failed.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Validation, Example::Text("my_transformation")),
            (Column::Id, Example::Id),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Payload, Example::Text(r#"{"msg": "hello"}"#)),
            (Column::Peername, Example::Text("192.168.0.10:56431")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Qos, Example::Int(1)),
            (Column::Flags, Example::Json("{}")),
            (Column::PublishReceivedAt, Example::Now),
            (
                Column::PubProps,
                Example::Json(
                    r#"{"Message-Expiry-Interval":30,"Payload-Format-Indicator":0,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[Column::Transformation, Column::Peerhost],
        sql_example: "SELECT * FROM \"$events/message_transformation/failed\"",
    },
    EventSpec {
        kind: EventKind::SchemaValidationFailed,
        name: "schema.validation_failed",
        event_type: "schema_validation_failed",
        from: &["$events/schema_validation/failed", "$events/schema_validation_failed"],
        title: "Validation failed",
        description: "A message did not pass its schema.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Validation, Example::Text("my_validation")),
            (Column::Id, Example::Id),
            (Column::Clientid, Example::Text("c_emqx")),
            (Column::Username, Example::Text("u_emqx")),
            (Column::Payload, Example::Text(r#"{"msg": "hello"}"#)),
            (Column::Peerhost, Example::Text("192.168.0.10")),
            (Column::Peername, Example::Text("192.168.0.10:32781")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Qos, Example::Int(1)),
            (Column::Flags, Example::Json("{}")),
            (Column::PublishReceivedAt, Example::Now),
            (
                Column::PubProps,
                Example::Json(
                    r#"{"Message-Expiry-Interval":30,"Payload-Format-Indicator":0,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/schema_validation/failed\"",
    },
    EventSpec {
        kind: EventKind::DeliveryDropped,
        name: "delivery.dropped",
        event_type: "delivery_dropped",
        from: &["$events/message/delivery_dropped", "$events/delivery_dropped"],
        title: "Delivery dropped",
        description: "A message was not delivered to one subscriber.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Id, Example::Id),
            (Column::Reason, Example::Text("queue_full")),
            (Column::FromClientid, Example::Text("c_emqx_1")),
            (Column::FromUsername, Example::Text("u_emqx_1")),
            (Column::Clientid, Example::Text("c_emqx_2")),
            (Column::Username, Example::Text("u_emqx_2")),
            (Column::Payload, Example::Text(r#"{"msg": "hello"}"#)),
            (Column::Peerhost, Example::Text("192.168.0.10")),
            (Column::Peername, Example::Text("192.168.0.10:32781")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Qos, Example::Int(1)),
            (Column::Flags, Example::Json("{}")),
            (
                Column::PubProps,
                Example::Json(
                    r#"{"Message-Expiry-Interval":30,"Payload-Format-Indicator":0,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::PublishReceivedAt, Example::Now),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$events/message/delivery_dropped\"",
    },
    EventSpec {
        kind: EventKind::Source,
        name: "$bridges/mqtt:NAME",
        event_type: "$bridges/mqtt:*",
        from: &[],
        title: "Message from a source",
        description: "A source received a message from its remote.",
        columns: &[
            (Column::Event, Example::Event),
            (Column::Id, Example::Id),
            (Column::Payload, Example::Text(r#"{"msg": "hello"}"#)),
            (Column::Server, Example::Text("192.168.0.10:1883")),
            (Column::Topic, Example::Text("t/a")),
            (Column::Qos, Example::Int(1)),
            (Column::Dup, Example::Bool(false)),
            (Column::Retain, Example::Bool(false)),
            (
                Column::PubProps,
                Example::Json(
                    r#"{"Message-Expiry-Interval":30,"Payload-Format-Indicator":0,"User-Property":{"foo":"bar"},"User-Property-Pairs":[{"key":"foo"},{"value":"bar"}]}"#,
                ),
            ),
            (Column::MessageReceivedAt, Example::Now),
            (Column::Timestamp, Example::Now),
            (Column::Node, Example::Node),
        ],
        unfilled: &[],
        sql_example: "SELECT * FROM \"$bridges/mqtt:my_source\" WHERE topic =~ 'my/#'",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_finds_its_own_declaration() {
        for (at, spec) in EVENTS.iter().enumerate() {
            assert_eq!(spec.kind as usize, at, "{}", spec.name);
        }
    }

    #[test]
    fn no_column_stands_twice() {
        for spec in EVENTS {
            for (at, (column, _)) in spec.columns.iter().enumerate() {
                assert!(
                    spec.columns[..at].iter().all(|(other, _)| other != column),
                    "{} {column:?}",
                    spec.name
                );
            }
        }
    }
}
