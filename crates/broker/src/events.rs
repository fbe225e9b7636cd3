//! What happens to clients, sessions and deliveries, told to the rules that want to know.

use std::net::SocketAddr;
use std::sync::Arc;

use event::{Column, Dispatch, Event, EventKind, Fields, Properties, Trail};
use mqtt::{Ack, ConnectRequest, Disconnect, QoS, UserProperties, Version};
use value::{Arena, Entry, Map, Value};

use crate::Broker;
use crate::acl::Who;
use crate::message::{Delivery, Now};
use crate::publish::Publication;
use crate::session::Session;

/// A connected client, as events tell it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) clientid: Arc<str>,
    pub(crate) username: Option<Arc<str>>,
    pub(crate) peername: SocketAddr,
    pub(crate) sockname: SocketAddr,
    pub(crate) version: Version,
    pub(crate) bridge: bool,
    pub(crate) clean_start: bool,
    /// Seconds; 0 is none.
    pub(crate) keepalive: u16,
    pub(crate) receive_max: u16,
    /// What CONNECT said beyond that; nothing, most of the time.
    pub(crate) said: Option<Box<Said>>,
    pub(crate) connected_at_ms: i64,
}

/// The properties of a CONNECT that events tell.
#[derive(Debug)]
pub(crate) struct Said {
    /// The numbers, as far as they were given.
    numbers: Vec<(&'static str, u32)>,
    user: Properties,
}

impl Client {
    /// As the ACL asks for it.
    pub(crate) fn who(&self) -> Who<'_> {
        Who { clientid: &self.clientid, username: self.username.as_deref(), peername: self.peername }
    }

    /// The column `conn_props`.
    pub(crate) fn conn_props<'a>(&'a self, arena: &'a Arena) -> Value<'a> {
        let Some(said) = &self.said else { return Value::Map(Map::default()) };
        props(said.numbers.iter().map(|(name, number)| (*name, int(*number))), &said.user, arena)
    }
}

pub(crate) type Field<'a> = (Column, Value<'a>);

pub(crate) fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Undefined, Value::text)
}

pub(crate) fn shown<'a>(what: &impl ToString, arena: &'a Arena) -> Value<'a> {
    Value::text(arena.str(&what.to_string()))
}

pub(crate) fn int(number: impl Into<i64>) -> Value<'static> {
    Value::Int(number.into())
}

/// Dispatches `fields` after those that every event has.
pub(crate) fn tell<'a>(
    broker: &'a Broker,
    rules: &dyn Dispatch,
    kind: EventKind,
    now_ms: i64,
    trail: &Trail,
    fields: &mut Vec<Field<'a>>,
) {
    let spec = kind.spec();
    fields.push((Column::Event, Value::Atom(spec.name)));
    fields.push((Column::Timestamp, int(now_ms)));
    fields.push((Column::Node, Value::Atom(&broker.config.node)));
    let from =
        [spec.from.first().copied().unwrap_or_default(), spec.from.get(1).copied().unwrap_or_default()];
    let columns = Fields(fields);
    rules.dispatch(&Event { kind, from, timestamp_ms: now_ms, columns: &columns, trail }, None);
}

/// The `client.*` columns that connecting and disconnecting have in common.
pub(crate) fn client_fields<'a>(client: &'a Client, arena: &'a Arena) -> Vec<Field<'a>> {
    vec![
        (Column::Clientid, Value::text(&client.clientid)),
        (Column::Username, text(client.username.as_deref())),
        (Column::Peername, shown(&client.peername, arena)),
        (Column::Sockname, shown(&client.sockname, arena)),
        (Column::ProtoName, Value::text(client.version.name())),
        (Column::ProtoVer, int(client.version.level())),
        (Column::ConnectedAt, int(client.connected_at_ms)),
        (Column::ClientAttrs, Value::Map(Map::default())),
    ]
}

/// Properties of a control packet as a map: those that are there, and the user properties.
pub(crate) fn props<'a>(
    known: impl IntoIterator<Item = (&'static str, Value<'a>)>,
    user: &'a Properties,
    arena: &'a Arena,
) -> Value<'a> {
    let known = known.into_iter().filter(|(_, value)| !value.is_undefined());
    let mut entries: Vec<Entry<'a>> =
        known.map(|(name, value)| Entry { key: name.as_bytes(), value }).collect();
    if let Value::Map(user) = user.to_value(arena) {
        entries.extend_from_slice(user.entries());
    }
    Value::Map(Map::new(arena.slice(&entries)))
}

/// User properties of a control packet, in the form that events take them.
pub(crate) fn user_properties(user: &UserProperties) -> Properties {
    let user = user.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Properties { user, ..Default::default() }
}

/// The properties of a CONNECT of MQTT 5, if it has any.
pub(crate) fn said(request: &ConnectRequest) -> Option<Box<Said>> {
    let said = Said { numbers: numbers(request), user: user_properties(&request.user_properties) };
    (!said.numbers.is_empty() || !said.user.is_empty()).then(|| Box::new(said))
}

/// The properties of CONNECT that are numbers, as far as they were given.
fn numbers(request: &ConnectRequest) -> Vec<(&'static str, u32)> {
    let given = [
        ("Receive-Maximum", request.receive_max.map(|max| max.get().into())),
        ("Maximum-Packet-Size", request.max_packet_size.map(Into::into)),
        ("Topic-Alias-Maximum", Some(request.topic_alias_max.into()).filter(|max| *max > 0)),
        ("Request-Response-Information", request.request_response_info.then_some(1)),
        ("Request-Problem-Information", (!request.request_problem_info).then_some(0)),
    ];
    let expiry = Some(request.session_expiry_interval_secs).filter(|secs| *secs > 0);
    let given = given.into_iter().chain([("Session-Expiry-Interval", expiry)]);
    given.filter_map(|(name, number)| Some((name, number?))).collect()
}

/// A client was accepted. `session_expiry` in seconds.
pub(crate) fn client_connected(broker: &Broker, rules: &dyn Dispatch, client: &Client, session_expiry: u32) {
    if !rules.wants(EventKind::ClientConnected) {
        return;
    }
    let arena = Arena::new();
    let mut fields = client_fields(client, &arena);
    fields.extend([
        (Column::Keepalive, int(client.keepalive)),
        (Column::CleanStart, Value::Bool(client.clean_start)),
        (Column::ReceiveMaximum, int(client.receive_max)),
        (Column::ExpiryInterval, int(session_expiry)),
        (Column::IsBridge, Value::Bool(client.bridge)),
        (Column::ConnProps, client.conn_props(&arena)),
    ]);
    let now_ms = client.connected_at_ms;
    tell(broker, rules, EventKind::ClientConnected, now_ms, &Trail::empty(), &mut fields);
}

/// What a client says with its DISCONNECT.
#[derive(Debug, Default)]
pub(crate) struct Farewell {
    pub(crate) reason_string: Option<String>,
    pub(crate) session_expiry: Option<u32>,
    pub(crate) user: Properties,
}

impl Farewell {
    pub(crate) fn of(disconnect: &Disconnect) -> Self {
        Self {
            reason_string: disconnect.reason_string.as_ref().map(ToString::to_string),
            session_expiry: disconnect.session_expiry_interval_secs,
            user: user_properties(&disconnect.user_properties),
        }
    }
}

/// A connection has ended. `farewell` is what the client said, if it did.
pub(crate) fn client_disconnected(
    broker: &Broker,
    rules: &dyn Dispatch,
    client: &Client,
    reason: &str,
    farewell: &Farewell,
) {
    if !rules.wants(EventKind::ClientDisconnected) {
        return;
    }
    let arena = Arena::new();
    let now_ms = Now::read().ms();
    let mut fields = client_fields(client, &arena);
    fields.extend([
        (Column::Reason, Value::text(reason)),
        (
            Column::DisconnProps,
            props(
                [
                    ("Reason-String", text(farewell.reason_string.as_deref())),
                    ("Session-Expiry-Interval", farewell.session_expiry.map_or(Value::Undefined, int)),
                ],
                &farewell.user,
                &arena,
            ),
        ),
        (Column::DisconnectedAt, int(now_ms)),
    ]);
    tell(broker, rules, EventKind::ClientDisconnected, now_ms, &Trail::empty(), &mut fields);
}

/// A subscription that came or went.
pub(crate) struct Subscription<'a> {
    /// As the client wrote it.
    pub(crate) filter: &'a str,
    pub(crate) qos: QoS,
    pub(crate) id: Option<u32>,
    /// The user properties of SUBSCRIBE or UNSUBSCRIBE.
    pub(crate) properties: &'a Properties,
}

/// A subscription was added (`SessionSubscribed`) or taken away (`SessionUnsubscribed`).
pub(crate) fn subscription(
    broker: &Broker,
    rules: &dyn Dispatch,
    kind: EventKind,
    client: &Client,
    told: &Subscription<'_>,
) {
    if !rules.wants(kind) {
        return;
    }
    let arena = Arena::new();
    let column = if kind == EventKind::SessionSubscribed { Column::SubProps } else { Column::UnsubProps };
    let mut fields = vec![
        (Column::Clientid, Value::text(&client.clientid)),
        (Column::Username, text(client.username.as_deref())),
        (Column::Peerhost, shown(&client.peername.ip(), &arena)),
        (Column::Peername, shown(&client.peername, &arena)),
        (Column::Topic, Value::text(told.filter)),
        (Column::Qos, int(u8::from(told.qos))),
        (
            column,
            props(
                [("Subscription-Identifier", told.id.map_or(Value::Undefined, int))],
                told.properties,
                &arena,
            ),
        ),
        (Column::ClientAttrs, Value::Map(Map::default())),
    ];
    tell(broker, rules, kind, Now::read().ms(), &Trail::empty(), &mut fields);
}

/// A message found nobody.
pub(crate) fn message_dropped(
    broker: &Broker,
    rules: Option<&dyn Dispatch>,
    publication: &Publication<'_>,
    reason: &str,
) {
    let Some(rules) = rules.filter(|rules| rules.wants(EventKind::MessageDropped)) else { return };
    let arena = Arena::new();
    let peername = publication.from.peername();
    let id = publication.id.hex();
    let no_properties = Properties::default();
    let mut fields = vec![
        (Column::Id, Value::Str(&id)),
        (Column::Reason, Value::text(reason)),
        (Column::Clientid, Value::text(publication.from.clientid())),
        (Column::Username, text(publication.from.username())),
        (Column::Payload, Value::Str(publication.payload)),
        (Column::Peerhost, peername.map_or(Value::Undefined, |peer| shown(&peer.ip(), &arena))),
        (Column::Peername, peername.map_or(Value::Undefined, |peer| shown(&peer, &arena))),
        (Column::Topic, Value::text(publication.topic)),
        (Column::Qos, int(u8::from(publication.qos))),
        (Column::Flags, flags(publication.retain, publication.dup, &arena)),
        (Column::PubProps, publication.properties.unwrap_or(&no_properties).to_value(&arena)),
        (Column::PublishReceivedAt, int(publication.now.ms())),
    ];
    let now_ms = publication.now.ms();
    tell(broker, rules, EventKind::MessageDropped, now_ms, publication.trail, &mut fields);
}

/// A message did not go to one session.
pub(crate) fn delivery_dropped(
    broker: &Broker,
    rules: Option<&dyn Dispatch>,
    session: &Session,
    delivery: &Delivery,
    reason: &str,
) {
    let Some(rules) = rules.filter(|rules| rules.wants(EventKind::DeliveryDropped)) else { return };
    let arena = Arena::new();
    let id = delivery.message.id.hex();
    let mut fields = delivery_fields(delivery, &id, &arena);
    // Of the last connection; a session that was restored has had none yet.
    let client = session.client.load_full();
    let peername = client.as_ref().and_then(|client| client.peername);
    fields.extend([
        (Column::Reason, Value::text(reason)),
        (Column::Clientid, Value::text(&session.clientid)),
        (Column::Username, text(client.as_ref().and_then(|client| client.username.as_deref()))),
        (Column::Peerhost, peername.map_or(Value::Undefined, |peer| shown(&peer.ip(), &arena))),
        (Column::Peername, peername.map_or(Value::Undefined, |peer| shown(&peer, &arena))),
    ]);
    let trail = &delivery.message.trail;
    tell(broker, rules, EventKind::DeliveryDropped, Now::read().ms(), trail, &mut fields);
}

/// A message went out to a subscriber.
pub(crate) fn delivered(broker: &Broker, rules: &dyn Dispatch, client: &Client, delivery: &Delivery) {
    if rules.wants(EventKind::MessageDelivered) {
        let arena = Arena::new();
        let none = Properties::default();
        received(broker, rules, EventKind::MessageDelivered, client, delivery, (None, &none), &arena);
    }
}

/// A subscriber has acknowledged a message.
pub(crate) fn acked(
    broker: &Broker,
    rules: &dyn Dispatch,
    client: &Client,
    delivery: &Delivery,
    ack: &Ack<'_>,
) {
    if rules.wants(EventKind::MessageAcked) {
        let arena = Arena::new();
        let user = Properties { user: ack.user.to_vec(), ..Default::default() };
        let kind = EventKind::MessageAcked;
        received(broker, rules, kind, client, delivery, (ack.reason_string, &user), &arena);
    }
}

/// What delivering and acknowledging have in common. `said` is the reason string and the user properties of the
/// acknowledgement.
fn received(
    broker: &Broker,
    rules: &dyn Dispatch,
    kind: EventKind,
    client: &Client,
    delivery: &Delivery,
    (reason_string, user): (Option<&str>, &Properties),
    arena: &Arena,
) {
    let id = delivery.message.id.hex();
    let mut fields = delivery_fields(delivery, &id, arena);
    fields.extend([
        (Column::Clientid, Value::text(&client.clientid)),
        (Column::Username, text(client.username.as_deref())),
        (Column::Peerhost, shown(&client.peername.ip(), arena)),
        (Column::Peername, shown(&client.peername, arena)),
    ]);
    if kind == EventKind::MessageAcked {
        fields.push((Column::PubackProps, props([("Reason-String", text(reason_string))], user, arena)));
    }
    tell(broker, rules, kind, Now::read().ms(), &delivery.message.trail, &mut fields);
}

fn delivery_fields<'a>(delivery: &'a Delivery, id: &'a [u8], arena: &'a Arena) -> Vec<Field<'a>> {
    let message = &*delivery.message;
    let properties = message.properties.as_deref();
    vec![
        (Column::Id, Value::Str(id)),
        (Column::FromClientid, Value::text(&message.publisher.clientid)),
        (Column::FromUsername, text(message.publisher.username.as_deref())),
        (Column::Payload, Value::Str(&message.payload)),
        (Column::Topic, Value::text(&message.topic)),
        (Column::Qos, int(u8::from(delivery.qos))),
        (Column::Flags, flags(delivery.retain, false, arena)),
        (Column::PubProps, properties.map_or(Value::Map(Map::default()), |props| props.to_value(arena))),
        (Column::PublishReceivedAt, int(message.received_at_ms)),
    ]
}

fn flags(retain: bool, dup: bool, arena: &Arena) -> Value<'_> {
    let entries = [
        Entry { key: b"retain", value: Value::Bool(retain) },
        Entry { key: b"dup", value: Value::Bool(dup) },
    ];
    Value::Map(Map::new(arena.slice(&entries)))
}
