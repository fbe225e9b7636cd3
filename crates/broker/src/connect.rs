//! From the first byte of a connection to CONNACK.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use event::Trail;
use mqtt::{
    ByteString, Conn, Connect, ConnectAck, ConnectAckReason, ConnectRequest, DecodeError, Packet, Reading,
    ReasonCode, Stream, Version,
};
use tokio::net::TcpStream;
use topic::TopicName;

use crate::Broker;
use crate::access::{Login, Who};
use crate::broker::{Claimed, Phase};
use crate::connection::{Connection, Link, SAY_GOODBYE, seconds};
use crate::events::{self, Client};
use crate::message::{Now, Publisher};
use crate::metrics::Tally;
use crate::will::Will;

/// The highest topic alias that clients may use.
pub(crate) const TOPIC_ALIAS_MAX: u16 = 32;

/// One connection, from its first byte to its last.
pub(crate) async fn serve(broker: &Arc<Broker>, tcp: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) {
    // On the heap, since what it takes to get a connection is larger than the connection, and over soon.
    if let Some(connection) = Box::pin(establish(broker, tcp, tls)).await {
        connection.live().await;
    }
}

/// Gets a client connected. `None` if that came to nothing.
async fn establish(
    broker: &Arc<Broker>,
    tcp: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> Option<Box<Connection>> {
    let (peername, sockname) = (tcp.peer_addr().ok()?, tcp.local_addr().ok()?);
    let greeting = tokio::time::timeout(broker.config.connect_timeout, greet(broker, tcp, tls));
    let (mut conn, connect) = tokio::select! {
        () = broker.reached(Phase::Closing) => return None,
        greeting = greeting => match greeting {
            Ok(greeting) => greeting?,
            Err(_) => {
                tracing::debug!(%peername, "connection closed: no CONNECT in time");
                return None;
            }
        },
    };
    match admit(broker, &mut conn, *connect, peername, sockname).await {
        Ok(link) => link.map(|link| Box::new(Connection::new(conn, link))),
        Err(refusal) => {
            tracing::info!(%peername, reason = refusal.text(), "client refused");
            broker.counters.add(&mut Tally { clients_refused: 1, ..Tally::default() });
            refuse(conn, refusal).await;
            None
        }
    }
}

/// Shakes hands and reads CONNECT. `None` if the connection is over, and said goodbye to where that makes sense.
async fn greet(
    broker: &Broker,
    tcp: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> Option<(Conn, Box<Connect>)> {
    let stream = match tls {
        None => Stream::from(tcp),
        Some(config) => Stream::tls_server(tcp, config).await.ok()?,
    };
    let mut conn = Conn::server(stream, broker.config.packet_bytes_max);
    loop {
        match conn.input.next() {
            Ok(Some(Packet::Connect(connect))) => return Some((conn, connect)),
            // The codec gives nothing but CONNECT first.
            Ok(Some(_)) => return None,
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "connection closed before CONNECT");
                if let DecodeError::UnsupportedVersion(_) | DecodeError::ClientIdNeeded = error {
                    if let DecodeError::UnsupportedVersion(6..) = error {
                        conn.output.set_version(Version::V5);
                    }
                    refuse(conn, error.reason()).await;
                }
                return None;
            }
        }
        let turn = conn.turn(Reading::Wanted).await.ok()?;
        broker.counters.add(&mut Tally { bytes_received: turn.read_bytes as u64, ..Tally::default() });
        if turn.closed {
            return None;
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
    conn: &mut Conn,
    connect: Connect,
    peername: SocketAddr,
    sockname: SocketAddr,
) -> Result<Option<Link>, ReasonCode> {
    let Connect { version, bridge, request } = connect;
    conn.output.set_version(version);
    if let Some(max) = request.max_packet_size {
        conn.output.set_packet_bytes_max(max.get());
    }
    let assigned = request.client_id.is_empty().then(assigned_client_id);
    let clientid: Arc<str> = assigned.as_deref().unwrap_or(&request.client_id).into();
    let username: Option<Arc<str>> = request.username.as_deref().map(Into::into);
    check(broker, &request, &clientid, username.as_deref(), peername)?;

    let Some(claimed) = broker.claim(&clientid, request.clean_start).await else { return Ok(None) };
    let session_expiry = Duration::from_secs(request.session_expiry_interval_secs.into());
    let link_expiry = session_expiry.min(broker.config.session_expiry_max);
    let client = Client {
        clientid: Arc::clone(&clientid),
        username: username.clone(),
        peername,
        sockname,
        version,
        bridge: bridge || is_bridge(&request),
        clean_start: request.clean_start,
        keepalive: request.keep_alive,
        receive_max: request.receive_max.map_or(u16::MAX, Into::into),
        numbers: if version == Version::V5 { events::numbers(&request) } else { Vec::new() },
        properties: events::user_properties(&request.user_properties),
        connected_at_ms: Now::read().ms(),
    };
    let publisher = Arc::new(Publisher { clientid, username, peername: Some(peername) });
    acknowledge(broker, conn, &claimed, &request, assigned, link_expiry);
    let will = Will::of(&request, &publisher).map(Arc::new);
    Ok(Link::new(broker, claimed, client, publisher, will, link_expiry))
}

/// What a CONNECT must fulfil before it gets a session.
fn check(
    broker: &Broker,
    request: &ConnectRequest,
    clientid: &str,
    username: Option<&str>,
    peername: SocketAddr,
) -> Result<(), ReasonCode> {
    if clientid.contains('\0') || username.is_some_and(|username| username.contains('\0')) {
        return Err(ReasonCode::ClientIdentifierNotValid);
    }
    if request.auth_data.is_some() && request.auth_method.is_none() {
        return Err(ReasonCode::ProtocolError);
    }
    if request.auth_method.is_some() {
        return Err(ReasonCode::BadAuthenticationMethod);
    }
    let password = request.password.as_deref();
    broker.config.auth.check(&Login { clientid, username, password, peername })?;
    if let Some(will) = &request.last_will {
        TopicName::parse(&will.topic).map_err(|_| ReasonCode::TopicNameInvalid)?;
        let who = Who { clientid, username, peername };
        if !broker.config.acl.may_publish(&who, &will.topic) {
            return Err(ReasonCode::NotAuthorized);
        }
    }
    Ok(())
}

fn acknowledge(
    broker: &Broker,
    conn: &mut Conn,
    claimed: &Claimed,
    request: &ConnectRequest,
    assigned: Option<String>,
    session_expiry: Duration,
) {
    let config = &broker.config;
    let granted = seconds(session_expiry);
    let mut ack = ConnectAck {
        session_present: claimed.kept.is_old,
        session_expiry_interval_secs: Some(granted)
            .filter(|secs| *secs != request.session_expiry_interval_secs),
        max_packet_size: Some(config.packet_bytes_max),
        assigned_client_id: assigned.map(ByteString::from),
        topic_alias_max: TOPIC_ALIAS_MAX,
        ..Default::default()
    };
    if let Ok(receive_max) = config.receive_max.try_into() {
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

    fn size_of_future<F>(_: impl FnOnce(&'static Arc<Broker>, TcpStream) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_is_small() {
        let task = size_of_future(|broker, tcp| serve(broker, tcp, None));
        assert!(task < 1024, "{task}");
        let all = task + size_of::<Connection>() + size_of::<Session>() + size_of::<Kept>();
        assert!(all < 3 * 1024, "{all}");
    }
}
