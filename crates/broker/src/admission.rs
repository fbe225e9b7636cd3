//! What happens at the door, told to the rules that want to know: `client.connack`, `client.check_authn_complete`,
//! `client.check_authz_complete`, `client.ping`. Without such a rule none of this does anything.

use event::{Column, Dispatch, EventKind, Trail};
use mqtt::ReasonCode;
use value::{Arena, Map, Value};

use crate::Broker;
use crate::acl::{Access, Verdict, Who};
use crate::events::{Client, Field, client_fields, int, shown, tell, text};
use crate::message::Now;

/// A CONNACK goes out. `session_expiry` in seconds.
pub(crate) fn connack(
    broker: &Broker,
    rules: &dyn Dispatch,
    client: &Client,
    reason: ReasonCode,
    session_expiry: u32,
) {
    if !rules.wants(EventKind::ClientConnack) {
        return;
    }
    let arena = Arena::new();
    let reason = reason_name(reason);
    let mut fields = connection_fields(client, session_expiry, &arena);
    fields.push((Column::ReasonCode, Value::text(&reason)));
    tell(broker, rules, EventKind::ClientConnack, Now::read().ms(), &Trail::empty(), &mut fields);
}

/// A PINGREQ has come. `session_expiry` in seconds.
pub(crate) fn ping(broker: &Broker, rules: &dyn Dispatch, client: &Client, session_expiry: u32, now: Now) {
    if !rules.wants(EventKind::ClientPing) {
        return;
    }
    let arena = Arena::new();
    let mut fields = connection_fields(client, session_expiry, &arena);
    tell(broker, rules, EventKind::ClientPing, now.ms(), &Trail::empty(), &mut fields);
}

/// It is clear whether a client is who it says, or why not.
pub(crate) fn authenticated(
    broker: &Broker,
    rules: &dyn Dispatch,
    client: &Client,
    reason: ReasonCode,
    is_anonymous: bool,
) {
    if !rules.wants(EventKind::ClientCheckAuthnComplete) {
        return;
    }
    let arena = Arena::new();
    let reason = reason_name(reason);
    let mut fields = vec![
        (Column::Clientid, Value::text(&client.clientid)),
        (Column::Username, text(client.username.as_deref())),
        (Column::Peername, shown(&client.peername, &arena)),
        (Column::ReasonCode, Value::text(&reason)),
        (Column::IsAnonymous, Value::Bool(is_anonymous)),
        (Column::IsSuperuser, Value::Bool(false)),
        (Column::ClientAttrs, Value::Map(Map::default())),
    ];
    let kind = EventKind::ClientCheckAuthnComplete;
    tell(broker, rules, kind, Now::read().ms(), &Trail::empty(), &mut fields);
}

/// A publish or subscription was allowed or denied.
pub(crate) fn authorized(
    broker: &Broker,
    rules: &dyn Dispatch,
    who: &Who<'_>,
    access: Access<'_>,
    verdict: Verdict,
) {
    if !rules.wants(EventKind::ClientCheckAuthzComplete) {
        return;
    }
    let arena = Arena::new();
    let (action, topic) = match access {
        Access::Publish { topic, .. } => ("publish", topic),
        Access::Subscribe { filter, .. } => ("subscribe", filter),
    };
    let mut fields = vec![
        (Column::Clientid, Value::text(who.clientid)),
        (Column::Username, text(who.username)),
        (Column::Peerhost, shown(&who.peername.ip(), &arena)),
        (Column::Peername, shown(&who.peername, &arena)),
        (Column::Topic, Value::text(topic)),
        (Column::Action, Value::text(action)),
        (Column::AuthzSource, Value::text(verdict.source)),
        (Column::Result, Value::text(if verdict.is_allowed() { "allow" } else { "deny" })),
        (Column::ClientAttrs, Value::Map(Map::default())),
    ];
    let kind = EventKind::ClientCheckAuthzComplete;
    tell(broker, rules, kind, Now::read().ms(), &Trail::empty(), &mut fields);
}

/// What `client.connack` and `client.ping` have in common.
fn connection_fields<'a>(client: &'a Client, session_expiry: u32, arena: &'a Arena) -> Vec<Field<'a>> {
    let mut fields = client_fields(client, arena);
    fields.retain(|(column, _)| *column != Column::ClientAttrs);
    fields.extend([
        (Column::Keepalive, int(client.keepalive)),
        (Column::CleanStart, Value::Bool(client.clean_start)),
        (Column::ExpiryInterval, int(session_expiry)),
        (Column::ConnProps, client.conn_props(arena)),
    ]);
    fields
}

/// A reason code as events spell it: `bad_username_or_password`.
fn reason_name(reason: ReasonCode) -> String {
    match reason {
        ReasonCode::BadUserNameOrPassword => "bad_username_or_password".to_owned(),
        reason => reason.text().replace([' ', '-'], "_").to_lowercase(),
    }
}
