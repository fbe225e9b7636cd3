//! What happens to clients, sessions and deliveries, told to the rules that want to know.

use std::net::SocketAddr;
use std::sync::Arc;

use event::{Column, Dispatch, Event, EventKind, Fields, Properties, Trail};
use mqtt::{QoS, UserProperties, Version};
use value::{Arena, Entry, Map, Value};

use crate::Broker;
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
    /// The user properties of CONNECT.
    pub(crate) properties: Properties,
    pub(crate) connected_at_ms: i64,
}

type Field<'a> = (Column, Value<'a>);

fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Undefined, Value::text)
}

fn shown<'a>(what: &impl ToString, arena: &'a Arena) -> Value<'a> {
    Value::text(arena.str(&what.to_string()))
}

fn int(number: impl Into<i64>) -> Value<'static> {
    Value::Int(number.into())
}

/// Dispatches `fields` after those that every event has.
fn tell<'a>(
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
fn client_fields<'a>(client: &'a Client, arena: &'a Arena) -> Vec<Field<'a>> {
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

/// Properties of a control packet as a map, user properties included.
fn props<'a>(numbers: &[(&'static str, u32)], user: &'a Properties, arena: &'a Arena) -> Value<'a> {
    let numbers = numbers.iter().map(|(name, number)| Entry { key: name.as_bytes(), value: int(*number) });
    let mut entries: Vec<Entry<'a>> = numbers.collect();
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

/// A client was accepted. `session_expiry` in seconds.
pub(crate) fn client_connected(broker: &Broker, rules: &dyn Dispatch, client: &Client, session_expiry: u32) {
    if !rules.wants(EventKind::ClientConnected) {
        return;
    }
    let arena = Arena::new();
    let mut fields = client_fields(client, &arena);
    let numbers =
        [("Receive-Maximum", u32::from(client.receive_max)), ("Session-Expiry-Interval", session_expiry)];
    let numbers = if client.version == Version::V5 { &numbers[..] } else { &[] };
    fields.extend([
        (Column::Keepalive, int(client.keepalive)),
        (Column::CleanStart, Value::Bool(client.clean_start)),
        (Column::ReceiveMaximum, int(client.receive_max)),
        (Column::ExpiryInterval, int(session_expiry)),
        (Column::IsBridge, Value::Bool(client.bridge)),
        (Column::ConnProps, props(numbers, &client.properties, &arena)),
    ]);
    let now_ms = client.connected_at_ms;
    tell(broker, rules, EventKind::ClientConnected, now_ms, &Trail::empty(), &mut fields);
}

/// A connection has ended. `properties` are those of the client's DISCONNECT.
pub(crate) fn client_disconnected(
    broker: &Broker,
    rules: &dyn Dispatch,
    client: &Client,
    reason: &str,
    properties: &Properties,
) {
    if !rules.wants(EventKind::ClientDisconnected) {
        return;
    }
    let arena = Arena::new();
    let now_ms = Now::read().ms();
    let mut fields = client_fields(client, &arena);
    fields.extend([
        (Column::Reason, Value::text(reason)),
        (Column::DisconnProps, props(&[], properties, &arena)),
        (Column::DisconnectedAt, int(now_ms)),
    ]);
    tell(broker, rules, EventKind::ClientDisconnected, now_ms, &Trail::empty(), &mut fields);
}

/// A subscription was added (`SessionSubscribed`) or taken away (`SessionUnsubscribed`).
pub(crate) fn subscription(
    broker: &Broker,
    rules: &dyn Dispatch,
    kind: EventKind,
    client: &Client,
    filter: &str,
    qos: QoS,
    properties: &Properties,
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
        (Column::Topic, Value::text(filter)),
        (Column::Qos, int(u8::from(qos))),
        (column, props(&[], properties, &arena)),
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
        (Column::PubProps, props(&[], publication.properties.unwrap_or(&no_properties), &arena)),
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
    let peername = delivery.message.publisher.peername;
    fields.extend([
        (Column::Reason, Value::text(reason)),
        (Column::Clientid, Value::text(&session.clientid)),
        (Column::Peerhost, peername.map_or(Value::Undefined, |peer| shown(&peer.ip(), &arena))),
        (Column::Peername, peername.map_or(Value::Undefined, |peer| shown(&peer, &arena))),
    ]);
    let trail = &delivery.message.trail;
    tell(broker, rules, EventKind::DeliveryDropped, Now::read().ms(), trail, &mut fields);
}

/// A message went out to a subscriber (`MessageDelivered`), or was acknowledged by it (`MessageAcked`). `properties`
/// are those of the acknowledgement.
pub(crate) fn delivered(
    broker: &Broker,
    rules: &dyn Dispatch,
    kind: EventKind,
    client: &Client,
    delivery: &Delivery,
    properties: &Properties,
) {
    if !rules.wants(kind) {
        return;
    }
    let arena = Arena::new();
    let id = delivery.message.id.hex();
    let mut fields = delivery_fields(delivery, &id, &arena);
    fields.extend([
        (Column::Clientid, Value::text(&client.clientid)),
        (Column::Username, text(client.username.as_deref())),
        (Column::Peerhost, shown(&client.peername.ip(), &arena)),
        (Column::Peername, shown(&client.peername, &arena)),
    ]);
    if kind == EventKind::MessageAcked {
        fields.push((Column::PubackProps, props(&[], properties, &arena)));
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
