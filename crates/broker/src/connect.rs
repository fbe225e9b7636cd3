//! From the first byte of a connection to CONNACK.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event::Trail;
use mqtt::{
    ByteString, Conn, Connect, ConnectAck, ConnectAckReason, ConnectRequest, DecodeError, Packet, Reading,
    ReasonCode, Stream, Version,
};
use tokio::net::TcpStream;
use tokio::time::Instant;
use topic::{TopicName, split_levels};

use crate::Broker;
use crate::access::{Identity, Login, PeerCertificate};
use crate::acl::{Access, Permissions};
use crate::admission;
use crate::broker::{Claimed, Phase};
use crate::connection::{Admitted, Connection, Link, SAY_GOODBYE, seconds};
use crate::events::{self, Client};
use crate::gate::{Gate, Refused};
use crate::message::{Now, Publisher};
use crate::metrics::Tally;
use crate::will::Will;

/// The highest topic alias that clients may use.
pub(crate) const TOPIC_ALIAS_MAX: u16 = 32;

/// The largest CONNECT that is taken (bytes): a will, a user name and a token have room in it, and strangers have no more.
const CONNECT_BYTES_MAX: u32 = 256 * 1024;

/// What the headers of frames and answers to pings may take before CONNECT is accepted, where it comes in a WebSocket (bytes).
const FRAMING_BYTES_MAX: u32 = 16 * 1024;

/// One connection, from its first byte to its last.
pub(crate) async fn serve(broker: &Arc<Broker>, gate: &Arc<Gate>, tcp: TcpStream) {
    // On the heap, since what it takes to get a connection is larger than the connection, and over soon.
    if let Some(connection) = Box::pin(establish(broker, gate, tcp)).await {
        connection.live().await;
    }
}

/// Hears a client out that may not stay, and tells it so.
pub(crate) async fn turn_away(broker: &Arc<Broker>, gate: &Arc<Gate>, tcp: TcpStream) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let heard = tokio::time::timeout(PATIENCE, Box::pin(greet(broker, gate, tcp)));
    tokio::select! {
        () = broker.reached(Phase::Closing) => {}
        heard = heard => if let Ok(Ok((mut conn, connect))) = heard {
            conn.output.set_version(connect.version);
            refuse(conn, ReasonCode::QuotaExceeded).await;
        },
    }
}

/// Gets a client connected. `None` if that came to nothing.
async fn establish(broker: &Arc<Broker>, gate: &Arc<Gate>, tcp: TcpStream) -> Option<Box<Connection>> {
    let (peername, sockname) = (tcp.peer_addr().ok()?, tcp.local_addr().ok()?);
    let deadline = Instant::now() + gate.limits().connect_timeout;
    let greeting = tokio::time::timeout_at(deadline, greet(broker, gate, tcp));
    let greeting = tokio::select! {
        () = broker.reached(Phase::Closing) => return None,
        greeting = greeting => greeting.unwrap_or(Err(Mishap(Some(Refused::Timeout), "no CONNECT in time".to_owned()))),
    };
    let (mut conn, connect) = match greeting {
        Ok(greeting) => greeting,
        Err(Mishap(None, detail)) => {
            tracing::debug!(%peername, "no client: {detail}");
            return None;
        }
        Err(Mishap(Some(why), detail)) => {
            broker.counters.add(&mut Tally { clients_refused: 1, ..Tally::default() });
            gate.refused(why, peername, &detail);
            return None;
        }
    };
    let comer = Comer { gate, peername, sockname, deadline };
    match admit(broker, &comer, &mut conn, &connect).await {
        Ok(link) => link.map(|link| {
            conn.trust(gate.limits().packet_bytes_max);
            Box::new(Connection::new(conn, link))
        }),
        Err(reason) => {
            broker.counters.add(&mut Tally { clients_refused: 1, ..Tally::default() });
            let why = match reason {
                ReasonCode::BadUserNameOrPassword => Refused::Credentials,
                ReasonCode::NotAuthorized | ReasonCode::Banned => Refused::NotAuthorized,
                ReasonCode::ServerBusy => Refused::Timeout,
                ReasonCode::QuotaExceeded => Refused::Full,
                _ => Refused::Unacceptable,
            };
            gate.refused(why, peername, &reason.text());
            Box::pin(refuse(conn, reason)).await;
            None
        }
    }
}

/// Why there was no CONNECT, with the particulars. `None` where nobody wanted to connect.
struct Mishap(Option<Refused>, String);

/// Whoever wants to come in.
struct Comer<'a> {
    gate: &'a Arc<Gate>,
    peername: SocketAddr,
    sockname: SocketAddr,
    deadline: Instant,
}

/// Shakes hands, as often as the listener asks for, and reads CONNECT. If the connection is over, goodbye has been said
/// where that makes sense.
async fn greet(broker: &Broker, gate: &Gate, tcp: TcpStream) -> Result<(Conn, Box<Connect>), Mishap> {
    let listener = &gate.listener;
    let connect_bytes_max = listener.limits.packet_bytes_max.min(CONNECT_BYTES_MAX);
    let mut stream = match &listener.tls {
        None => Stream::from(tcp),
        Some(tls) => {
            // On the heap, as below, so that connections without do not need the room: what all of them take at first is what
            // the allocator can hardly use again between those that stay.
            let shaken = Box::pin(Stream::tls_server(tcp, tls.load_full())).await;
            shaken.map_err(|error| Mishap(Some(Refused::Tls), format!("TLS: {error}")))?
        }
    };
    if let Some(terms) = &listener.websocket {
        let upgraded =
            Box::pin(stream.websocket_server(terms, (connect_bytes_max + FRAMING_BYTES_MAX) as usize));
        stream = upgraded.await.map_err(|error| Mishap(Some(Refused::WebSocket), error.to_string()))?;
    }
    let mut conn = Conn::server(stream, connect_bytes_max);
    loop {
        match conn.input.next() {
            Ok(Some(Packet::Connect(connect))) => return Ok((conn, connect)),
            // The codec gives nothing but CONNECT first.
            Ok(Some(_)) => return Err(Mishap(Some(Refused::Malformed), "no CONNECT".to_owned())),
            Ok(None) => {}
            Err(error) => {
                let why = match error {
                    DecodeError::UnsupportedVersion(_) | DecodeError::ClientIdNeeded => Refused::Unacceptable,
                    _ => Refused::Malformed,
                };
                if why == Refused::Unacceptable {
                    if let DecodeError::UnsupportedVersion(6..) = error {
                        conn.output.set_version(Version::V5);
                    }
                    Box::pin(refuse(conn, error.reason())).await;
                }
                return Err(Mishap(Some(why), error.to_string()));
            }
        }
        let lost =
            |error: io::Error| Mishap(Some(Refused::Malformed), format!("lost before CONNECT: {error}"));
        let turn = conn.turn(Reading::Wanted).await.map_err(lost)?;
        let mut tally = Tally { bytes_received: turn.read_bytes as u64, ..Tally::default() };
        gate.moved(&tally);
        broker.counters.add(&mut tally);
        if turn.closed {
            // Whoever says nothing at all, as load balancers do that only want to know whether somebody is there, is no
            // client that was refused.
            let why = (conn.input.buffered_bytes() > 0).then_some(Refused::Malformed);
            return Err(Mishap(why, "closed before CONNECT".to_owned()));
        }
    }
}

/// Whether a CONNECT of MQTT 5, which has no bit for it, says that it is that of a bridge.
fn is_bridge(request: &ConnectRequest) -> bool {
    request.user_properties.iter().any(|(key, _)| &**key == Trail::HOPS_PROPERTY)
}

async fn refuse(mut conn: Conn, reason: ReasonCode) {
    let reason_code = ConnectAckReason::try_from(reason.byte()).unwrap_or(ConnectAckReason::UnspecifiedError);
    let ack = ConnectAck { reason_code, ..Default::default() };
    if conn.output.put(&Packet::ConnectAck(Box::new(ack))).is_ok() {
        let _ = tokio::time::timeout(SAY_GOODBYE, conn.close()).await;
    }
}

/// Checks a CONNECT, gets its session and answers. `Ok(None)` if a later connection has got the session instead.
async fn admit(
    broker: &Arc<Broker>,
    comer: &Comer<'_>,
    conn: &mut Conn,
    connect: &Connect,
) -> Result<Option<Link>, ReasonCode> {
    conn.output.set_version(connect.version);
    if let Some(max) = connect.request.max_packet_size {
        conn.output.set_packet_bytes_max(max.get());
    }
    let assigned = connect.request.client_id.is_empty().then(assigned_client_id);
    let session_expiry = Duration::from_secs(connect.request.session_expiry_interval_secs.into());
    let link_expiry = session_expiry.min(broker.config.session_expiry_max);
    let granted = seconds(link_expiry);
    let mut client = client(comer, connect, assigned.as_deref());
    let request = &connect.request;
    let checked = check(broker, comer, conn, request, &mut client).await;
    let publisher = Arc::new(Publisher {
        clientid: Arc::clone(&client.clientid),
        username: client.username.clone(),
        peername: Some(comer.peername),
    });
    let mut will = Will::of(connect, &publisher);
    let is_kept = !link_expiry.is_zero();
    let checked = checked.and_then(|found| has_room(broker, &client, is_kept, will.as_mut()).map(|()| found));
    if let Some(rules) = broker.rules() {
        let reason = checked.as_ref().err().copied().unwrap_or(ReasonCode::Success);
        admission::connack(broker, &*rules, &client, reason, granted);
    }
    let (mut permissions, expires_at) = checked?;

    let Some(mut claimed) = broker.claim(&client.clientid, request.clean_start).await else {
        return Ok(None);
    };
    if !may_go_on_with(&claimed, broker, &client, &mut permissions) {
        tracing::info!(
            clientid = &*client.clientid,
            username = client.username.as_deref(),
            "the session of this client id has subscriptions that this user may not have: it ends, and a new one begins"
        );
        broker.end_session(&claimed.session, &mut claimed.kept);
        drop(claimed);
        let Some(new) = broker.claim(&client.clientid, true).await else { return Ok(None) };
        claimed = new;
    }
    acknowledge(comer, conn, &claimed, request, assigned, granted, client.keepalive);
    let will = will.map(Arc::new);
    let gate = Arc::clone(comer.gate);
    let topic_alias_max = request.topic_alias_max;
    let admitted = Admitted { gate, client, permissions, expires_at, topic_alias_max };
    Ok(Link::new(broker, claimed, admitted, publisher, will, link_expiry))
}

/// Whether there is room for what a client leaves behind: its session, if it is to be kept, and its will.
fn has_room(
    broker: &Broker,
    client: &Client,
    is_kept: bool,
    will: Option<&mut Will>,
) -> Result<(), ReasonCode> {
    let for_session = !is_kept || !broker.is_full_for(&client.clientid);
    let for_will = || will.is_none_or(|will| will.enter(&broker.wills, broker.config.will_bytes_max));
    if for_session && for_will() { Ok(()) } else { Err(ReasonCode::QuotaExceeded) }
}

/// Whether a client may have what a session has: what waits in it came through its subscriptions, of which the access list was
/// asked when somebody made them, perhaps under another name. Whose session it is keeps it, whatever has become of the list.
fn may_go_on_with(
    claimed: &Claimed,
    broker: &Broker,
    client: &Client,
    permissions: &mut Permissions,
) -> bool {
    // Unknown after a restart.
    let last = claimed.session.client.load();
    last.as_ref().is_some_and(|last| last.username == client.username)
        || claimed.kept.subscriptions.values().all(|subscribed| {
            let filter = subscribed.subscription.filter.as_str();
            let access = Access::Subscribe { filter, qos: subscribed.options.qos };
            permissions.check(&broker.config.acl, &client.who(), access).is_allowed()
        })
}

/// A client as its CONNECT describes it.
fn client(comer: &Comer<'_>, connect: &Connect, assigned: Option<&str>) -> Client {
    let Connect { version, bridge, request, .. } = connect;
    let asked = request.keep_alive;
    let keepalive = match comer.gate.limits().keepalive_max {
        Some(max) if *version == Version::V5 && (asked == 0 || asked > max) => max,
        Some(_) | None => asked,
    };
    Client {
        clientid: assigned.unwrap_or(&request.client_id).into(),
        username: request.username.as_deref().map(Into::into),
        peername: comer.peername,
        sockname: comer.sockname,
        version: *version,
        bridge: *bridge || is_bridge(request),
        clean_start: request.clean_start,
        keepalive,
        receive_max: request.receive_max.map_or(u16::MAX, Into::into),
        said: if *version == Version::V5 { events::said(request) } else { None },
        connected_at_ms: Now::read().ms(),
    }
}

/// What a CONNECT must fulfil before it gets a session. The user of `client` is who it was found to be. Returns what it
/// may do, and until when.
async fn check(
    broker: &Broker,
    comer: &Comer<'_>,
    conn: &Conn,
    request: &ConnectRequest,
    client: &mut Client,
) -> Result<(Permissions, Option<Instant>), ReasonCode> {
    let has_nul = |text: &str| text.contains('\0');
    if client.clientid.len() > comer.gate.limits().clientid_bytes_max
        || has_nul(&client.clientid)
        || client.username.as_deref().is_some_and(has_nul)
    {
        return Err(ReasonCode::ClientIdentifierNotValid);
    }
    if request.auth_data.is_some() && request.auth_method.is_none() {
        return Err(ReasonCode::ProtocolError);
    }
    if request.auth_method.is_some() {
        return Err(ReasonCode::BadAuthenticationMethod);
    }
    let identified = identify(broker, comer, conn, request, client).await;
    let (reason, is_anonymous) = match &identified {
        Ok(identity) => {
            client.username = identity.username.as_deref().map(Into::into);
            (ReasonCode::Success, identity.is_anonymous)
        }
        Err(reason) => {
            client.username = client.username.take().filter(|name| broker.config.auth.is_name(name));
            (*reason, false)
        }
    };
    if let Some(rules) = broker.rules() {
        admission::authenticated(broker, &*rules, client, reason, is_anonymous);
    }
    let identity = identified?;
    let mut permissions = Permissions::of(&broker.config.acl, &client.who());
    if let Some(will) = &request.last_will {
        let topic = TopicName::parse(&will.topic).map_err(|_| ReasonCode::TopicNameInvalid)?;
        if split_levels(topic.as_str()).nth(comer.gate.limits().topic_levels_max).is_some() {
            return Err(ReasonCode::TopicNameInvalid);
        }
        let access = Access::Publish { topic: &will.topic, qos: will.qos, retain: will.retain };
        if !permissions.check(&broker.config.acl, &client.who(), access).is_allowed() {
            return Err(ReasonCode::NotAuthorized);
        }
    }
    let valid_for = identity.expires_at.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
    Ok((permissions, valid_for.map(|valid_for| Instant::now() + valid_for)))
}

/// Asks who a client is.
async fn identify(
    broker: &Broker,
    comer: &Comer<'_>,
    conn: &Conn,
    request: &ConnectRequest,
    client: &Client,
) -> Result<Identity, ReasonCode> {
    let listener = &comer.gate.listener;
    let certificate = conn.peer_certificate();
    let name = certificate.and_then(|certificate| listener.peer_name?.of(certificate));
    let login = Login {
        listener: &listener.name,
        clientid: &client.clientid,
        username: client.username.as_deref(),
        password: request.password.as_deref(),
        peername: comer.peername,
        certificate: certificate.map(|_| PeerCertificate { name: name.as_deref() }),
    };
    let checked = tokio::time::timeout_at(comer.deadline, broker.config.auth.check(login));
    tokio::select! {
        () = broker.reached(Phase::Closing) => Err(ReasonCode::ServerShuttingDown),
        checked = checked => checked.unwrap_or(Err(ReasonCode::ServerBusy)),
    }
}

fn acknowledge(
    comer: &Comer<'_>,
    conn: &mut Conn,
    claimed: &Claimed,
    request: &ConnectRequest,
    assigned: Option<String>,
    session_expiry: u32,
    keepalive: u16,
) {
    let limits = comer.gate.limits();
    let mut ack = ConnectAck {
        session_present: claimed.kept.is_old,
        session_expiry_interval_secs: Some(session_expiry)
            .filter(|secs| *secs != request.session_expiry_interval_secs),
        max_packet_size: Some(limits.packet_bytes_max),
        assigned_client_id: assigned.map(ByteString::from),
        topic_alias_max: TOPIC_ALIAS_MAX,
        // [MQTT-3.1.2-21]
        server_keepalive_sec: Some(keepalive).filter(|secs| *secs != request.keep_alive),
        ..Default::default()
    };
    if let Ok(receive_max) = limits.receive_max.try_into() {
        ack.receive_max = receive_max;
    }
    crate::acks::put(&mut conn.output, &Packet::ConnectAck(Box::new(ack)));
}

/// A client id that nobody can guess.
fn assigned_client_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("auto-{:016x}{:016x}", random(), random())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Kept, Session};

    fn size_of_future<F>(_: impl FnOnce(&'static Arc<Broker>, &'static Arc<Gate>, TcpStream) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_is_small() {
        let task = size_of_future(serve);
        assert!(task < 640, "{task}");
        let parts = [task, size_of::<Connection>(), size_of::<Session>(), size_of::<Kept>()];
        assert!(parts.iter().sum::<usize>() < 2 * 1024, "{parts:?}");
        // What it takes to get a connection is gone afterwards, but hardly of use to others.
        let before = size_of_future(establish);
        assert!(before < 2560, "{before}");
    }
}
