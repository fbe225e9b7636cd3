use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use event::{AckLevel, Acker, Completion, Dispatch, Outcome};
use mqtt::{Conn, Disconnect, DisconnectReasonCode, Output, Packet, Reading, ReasonCode, Version};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, Sleep};
use wake::Courtesy;

use crate::Broker;
use crate::acks::{self, AckKind, Acks, Answers};
use crate::acl::{Access, Permissions, Verdict};
use crate::admission;
use crate::aliases::TopicAliases;
use crate::broker::Claimed;
use crate::end::End;
use crate::events::{self, Client};
use crate::gate::{Gate, Pace};
use crate::idle::Idle;
use crate::janitor::Duty;
use crate::message::{Delivery, Now, Numbers, Publisher};
use crate::metrics::Tally;
use crate::patience::Patience;
use crate::publish::Safekeeping;
use crate::route_cache::RouteCache;
use crate::session::{Kept, Session};
use crate::store::Change;
use crate::will::Will;

/// How long the last packet of a connection may take to go out.
pub(crate) const SAY_GOODBYE: Duration = Duration::from_secs(1);
/// Bytes that wait in the output above which nothing is read: a client that asks and does not listen.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// A client that is connected: the socket, and everything between it and the rest of the broker.
pub(crate) struct Connection {
    conn: Conn,
    link: Link,
    idle: Idle,
    courtesy: Courtesy,
    patience: Patience,
}

/// A client that may connect.
pub(crate) struct Admitted {
    pub(crate) gate: Arc<Gate>,
    pub(crate) client: Client,
    pub(crate) permissions: Permissions,
    pub(crate) expires_at: Option<Instant>,
    /// How many aliases the client takes.
    pub(crate) topic_alias_max: u16,
}

/// A client that is connected, without its socket: what packets are handled by.
pub(crate) struct Link {
    pub(crate) broker: Arc<Broker>,
    pub(crate) rules: Arc<dyn Dispatch>,
    pub(crate) session: Arc<Session>,
    claim: u64,
    pub(crate) kept: OwnedMutexGuard<Kept>,
    pub(crate) client: Client,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) gate: Arc<Gate>,
    permissions: Permissions,
    /// When what the client showed is no longer valid.
    expires_at: Option<Instant>,
    pub(crate) will: Option<Arc<Will>>,
    pub(crate) session_expiry: Duration,
    /// Topics by alias, from 1 [MQTT-3.3.2-9].
    pub(crate) aliases: Vec<String>,
    /// Aliases for what goes to the client, if it takes any.
    pub(crate) topic_aliases: Option<Box<TopicAliases>>,
    pace: Pace,
    /// The client sends too fast: nothing is read before this.
    paused_until: Option<Instant>,
    pub(crate) routes: RouteCache,
    pub(crate) numbers: Numbers,
    pub(crate) acks: Acks,
    answers: Answers,
    /// What the store is to hear at the end of this turn.
    pub(crate) changes: Vec<Change>,
    /// The ticket of answers that wait for `changes`.
    answers_ticket: Option<u64>,
    /// Empty between two packets; kept for its memory.
    pub(crate) keeping: Safekeeping,
    /// The store cannot take more at the moment.
    is_held: bool,
    /// Place in `kept.inflight` up to which this connection has sent what an earlier one left.
    pub(crate) resent: usize,
    /// Messages of QoS 1 and 2 that this connection has sent and that are not acknowledged.
    pub(crate) unacked: usize,
    pub(crate) batch: Vec<Delivery>,
    settled: Vec<(u64, Outcome)>,
    pub(crate) tally: Tally,
}

impl Link {
    /// `None` if the broker has closed in the meantime.
    pub(crate) fn new(
        broker: &Arc<Broker>,
        claimed: Claimed,
        admitted: Admitted,
        publisher: Arc<Publisher>,
        will: Option<Arc<Will>>,
        session_expiry: Duration,
    ) -> Option<Self> {
        let Claimed { session, claim, mut kept } = claimed;
        let Admitted { gate, client, permissions, expires_at, topic_alias_max } = admitted;
        let limits = gate.limits();
        session.inbox.set_bounds(limits.session_messages_max, limits.session_bytes_max);
        let pace = Pace::new(limits.message_rate_max);
        kept.will = None;
        session.client.store(Some(Arc::clone(&publisher)));
        if let Some(store) = broker.store()
            && (session.is_stored() || !session_expiry.is_zero())
        {
            session.is_stored.store(true, Ordering::Relaxed);
            store.note(Change::Opened {
                session: session.number,
                clientid: Arc::clone(&session.clientid),
                expiry_secs: seconds(session_expiry),
                will: will.clone(),
            });
        }
        Some(Self {
            broker: Arc::clone(broker),
            rules: broker.rules()?,
            session,
            claim,
            kept,
            client,
            publisher,
            gate,
            permissions,
            expires_at,
            will,
            session_expiry,
            aliases: Vec::new(),
            topic_aliases: (topic_alias_max > 0).then(|| Box::new(TopicAliases::new(topic_alias_max))),
            pace,
            paused_until: None,
            routes: RouteCache::default(),
            numbers: Numbers::default(),
            acks: Acks::default(),
            answers: Answers::default(),
            changes: Vec::new(),
            answers_ticket: None,
            keeping: Safekeeping::default(),
            is_held: false,
            resent: 0,
            unacked: 0,
            batch: Vec::new(),
            settled: Vec::new(),
            tally: Tally::default(),
        })
    }

    /// Handles one packet from the client.
    fn handle(&mut self, packet: &Packet<'_>, output: &mut Output, now: Now) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, output, now),
            Packet::PublishAck(ack) => self.on_puback(ack),
            Packet::PublishReceived(ack) => self.on_pubrec(ack, output),
            Packet::PublishRelease(ack) => self.on_pubrel(ack, output),
            Packet::PublishComplete(ack) => self.on_pubcomp(ack),
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe, output),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(unsubscribe, output),
            Packet::PingRequest => {
                let expiry = u32::try_from(self.session_expiry.as_secs()).unwrap_or(u32::MAX);
                admission::ping(&self.broker, &*self.rules, &self.client, expiry, now);
                acks::put(output, &Packet::PingResponse);
                Ok(())
            }
            Packet::Disconnect(disconnect) => Err(self.on_disconnect(disconnect)),
            Packet::Connect(_)
            | Packet::ConnectAck(_)
            | Packet::SubscribeAck(_)
            | Packet::UnsubscribeAck(_)
            | Packet::PingResponse
            | Packet::Auth(_) => Err(End::Fault(ReasonCode::ProtocolError)),
        }
    }

    fn on_disconnect(&mut self, disconnect: &Disconnect) -> End {
        if let Some(seconds) = disconnect.session_expiry_interval_secs {
            if self.session_expiry.is_zero() && seconds > 0 {
                // A session that was to end with its connection cannot be prolonged at the last moment.
                return End::Fault(ReasonCode::ProtocolError);
            }
            let asked = Duration::from_secs(seconds.into());
            self.session_expiry = asked.min(self.broker.config.session_expiry_max);
        }
        let with_will = disconnect.reason_code == DisconnectReasonCode::DisconnectWithWillMessage;
        End::Disconnected { with_will, farewell: Box::new(events::Farewell::of(disconnect)) }
    }

    /// Whether no more packets may be handled until acknowledgements have gone out. In MQTT 5 Receive Maximum sees to
    /// it that this does not happen, but for a store that is slower than what comes.
    fn is_at_bound(&self) -> bool {
        self.is_held
            || self.acks.len() >= usize::from(self.gate.limits().receive_max)
                && self.client.version != Version::V5
    }

    /// Whether no more packets may be handled for now.
    fn is_paused(&self) -> bool {
        self.paused_until.is_some() || self.is_at_bound()
    }

    /// One more message has come: a client that sends too fast is left unread until it would be fast no more.
    pub(crate) fn keep_pace(&mut self) {
        if self.gate.limits().message_rate_max.is_some() {
            self.paused_until = self.pace.pass(Instant::now());
        }
    }

    /// Whether the client may do this. Tells those rules that want to know.
    pub(crate) fn may(&mut self, access: Access<'_>) -> Verdict {
        let Self { broker, rules, client, permissions, .. } = self;
        let verdict = permissions.check(&broker.config.acl, &client.who(), access);
        admission::authorized(broker, &**rules, &client.who(), access, verdict);
        verdict
    }

    /// Everything that can be done without waiting: acknowledgements that were settled, packets that have come, and
    /// messages that wait for the client.
    fn work(&mut self, conn: &mut Conn) -> Result<(), End> {
        self.session.begin_turn();
        if !self.session.is_latest(self.claim) {
            return Err(if self.session.is_discarded() { End::Discarded } else { End::TakenOver });
        }
        if self.session.is_stopped() {
            return Err(End::Stopped);
        }
        let now = Now::read();
        self.settle(&mut conn.output)?;
        self.is_held = self.broker.store().is_some_and(|store| store.is_congested(&self.session));
        while !self.is_paused() && !wake::is_spent() {
            let Some(packet) = conn.input.next().map_err(End::Unreadable)? else { break };
            self.handle(&packet, &mut conn.output, now)?;
        }
        self.deliver(&mut conn.output, now);
        self.store_changes(&mut conn.output)
    }

    /// Notes a change of this session, if it is stored.
    pub(crate) fn note(&mut self, change: impl FnOnce(u64) -> Change) {
        if self.session.is_stored() {
            self.changes.push(change(self.session.number));
        }
    }

    /// Answers the client: at once, or when what this turn has changed so far is stored.
    pub(crate) fn answer(&mut self, packet: Packet<'static>, output: &mut Output) {
        if !self.changes.is_empty() {
            let ticket = *self.answers_ticket.get_or_insert_with(|| self.kept.ticket());
            self.answers.owe(Some(ticket), packet);
        } else if self.answers.is_empty() {
            acks::put(output, &packet);
        } else {
            self.answers.owe(None, packet);
        }
    }

    /// Whether answers wait for the store.
    pub(crate) fn owes_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Gives the store what this turn has changed.
    fn store_changes(&mut self, output: &mut Output) -> Result<(), End> {
        let Some(store) = self.broker.store().filter(|_| !self.changes.is_empty()) else { return Ok(()) };
        let Some(ticket) = self.answers_ticket.take() else {
            store.submit(&mut self.changes, None);
            return Ok(());
        };
        let acker = Arc::clone(&self.session) as Arc<dyn Acker>;
        let completion = Completion::new(acker, ticket, AckLevel::Received);
        store.submit(&mut self.changes, Some(completion.part()));
        if completion.release() {
            self.answers.settle(ticket, Outcome::Settled)?;
            self.answers.put(output);
        }
        Ok(())
    }

    /// Puts the acknowledgements into the output that the rules have settled since the last time.
    fn settle(&mut self, output: &mut Output) -> Result<(), End> {
        let mut settled = std::mem::take(&mut self.settled);
        self.session.take_settled(&mut settled);
        for (ticket, outcome) in settled.drain(..) {
            if self.answers.settle(ticket, outcome)? {
                continue;
            }
            if self.acks.settle(ticket, outcome) != Some(AckKind::PubAck) {
                self.settle_incoming(ticket, outcome);
            }
        }
        self.settled = settled;
        self.answers.put(output);
        self.acks.put(output)
    }

    /// The rules are done with a message of QoS 2.
    fn settle_incoming(&mut self, ticket: u64, outcome: Outcome) {
        let Some(packet_id) = self.kept.settle_incoming(ticket, outcome) else { return };
        match outcome {
            Outcome::Settled => self.note_settled(packet_id, ticket),
            Outcome::Abandoned => self.note(|session| Change::Freed { session, packet_id }),
        }
    }

    /// Leaves the session as the next connection is to find it, or ends it.
    fn leave(mut self, end: &End) {
        let mut settled = std::mem::take(&mut self.settled);
        self.session.take_settled(&mut settled);
        for (ticket, outcome) in settled {
            self.settle_incoming(ticket, outcome);
        }
        let broker = Arc::clone(&self.broker);
        if let Some(store) = broker.store() {
            store.submit(&mut self.changes, None);
        }
        let will = self.will.take().filter(|_| match end {
            End::Disconnected { with_will, .. } => *with_will,
            // It goes out after the next start, if the session is still there to say so.
            End::Stopped => self.session.is_stored(),
            _ => true,
        });
        self.kept.set_connected(&self.session, false);
        broker.clients.fetch_sub(1, Ordering::Relaxed);
        if self.session_expiry.is_zero() {
            broker.end_session(&self.session, &mut self.kept);
            broker.publish_will(will.filter(|_| !matches!(end, End::Stopped)).as_deref());
            return;
        }
        let now = Instant::now();
        let mut pending = None;
        match will {
            _ if matches!(end, End::Stopped) => pending = will,
            Some(will) if !will.delay.is_zero() => {
                let at = now + will.delay.min(self.session_expiry);
                broker.janitor.remind(at, &self.session, &mut self.kept, self.claim, Duty::Will);
                pending = Some(will);
            }
            will => broker.publish_will(will.as_deref()),
        }
        (self.kept.left_at_ms, self.kept.expiry) = (Now::read().ms(), self.session_expiry);
        if let Some(store) = broker.store().filter(|_| self.session.is_stored()) {
            let (session, expiry_secs) = (self.session.number, seconds(self.session_expiry));
            let at_ms = self.kept.left_at_ms;
            store.note(Change::Left { session, at_ms, expiry_secs, with_will: pending.is_some() });
        }
        self.kept.will = pending;
        self.kept.is_old = true;
        let at = now + self.session_expiry;
        broker.janitor.remind(at, &self.session, &mut self.kept, self.claim, Duty::End);
    }
}

/// Whole seconds, as MQTT counts them.
pub(crate) fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

impl Connection {
    pub(crate) fn new(conn: Conn, link: Link) -> Self {
        let idle = Idle::new(Instant::now());
        Self { conn, link, idle, courtesy: Courtesy::default(), patience: Patience::default() }
    }

    /// Lives as long as the connection does.
    pub(crate) async fn live(mut self: Box<Self>) {
        self.begin();
        let end = self.turns().await;
        // Before the last words, which may take a moment, since another connection may wait for the session.
        let conn = self.end(&end);
        // On the heap, so that a connection does not carry the room for its last words all its life.
        Box::pin(say_goodbye(conn, end)).await;
    }

    /// The client is accepted.
    fn begin(&self) {
        let Link { broker, rules, session, kept, client, session_expiry, .. } = &self.link;
        kept.set_connected(session, true);
        broker.clients.fetch_add(1, Ordering::Relaxed);
        broker.counters.add(&mut Tally { clients_connected: 1, ..Tally::default() });
        tracing::debug!(
            clientid = %client.clientid, peername = %client.peername, version = ?client.version, "client connected"
        );
        events::client_connected(broker, &**rules, client, seconds(*session_expiry));
    }

    /// The connection is over: the session is given up. Gives the socket back for the last words.
    fn end(self: Box<Self>, end: &End) -> Conn {
        let Self { conn, mut link, .. } = *self;
        let Link { broker, rules, client, .. } = &link;
        let (clientid, peername) = (&client.clientid, client.peername);
        tracing::debug!(%clientid, %peername, reason = %end, "client disconnected");
        let silent = events::Farewell::default();
        let farewell = match end {
            End::Disconnected { farewell, .. } => &**farewell,
            _ => &silent,
        };
        events::client_disconnected(broker, &**rules, client, &end.reason(), farewell);
        link.tally.clients_disconnected = 1;
        link.gate.moved(&link.tally);
        link.broker.counters.add(&mut link.tally);
        link.leave(end);
        conn
    }

    async fn turns(&mut self) -> End {
        let timer = tokio::time::sleep_until(self.next_check());
        tokio::pin!(timer);
        let session = Arc::clone(&self.link.session);
        let mut is_closed = false;
        let mut has_read = false;
        loop {
            let work = || wake::batched_early(|| self.link.work(&mut self.conn));
            // What a panic leaves undone, the client sends again; its session is left in order, as at any other end.
            let (worked, is_early) =
                supervise::caught("the work for a client", work).unwrap_or((Err(End::Abandoned), false));
            let is_spent = wake::is_spent();
            if std::mem::take(&mut has_read) {
                self.patience.judge(is_early);
            }
            self.link.gate.moved(&self.link.tally);
            self.link.broker.counters.add(&mut self.link.tally);
            if let Err(end) = worked {
                return end;
            }
            if is_spent {
                // There may be more to do, which others need not wait for.
                executor::yield_now().await;
            } else if is_closed {
                return End::Closed;
            }
            if let Some(at) = self.link.paused_until {
                timer.as_mut().reset(at);
            }
            if let Some(at) = self.patience.apply(&mut self.conn)
                && (timer.is_elapsed() || timer.deadline() > at)
            {
                timer.as_mut().reset(at);
            }
            let reading = if is_spent { Reading::Paused } else { self.reading() };
            tokio::select! {
                biased;
                turn = self.conn.turn(reading) => match turn {
                    Ok(turn) => {
                        is_closed |= turn.closed;
                        self.link.tally.bytes_received += turn.read_bytes as u64;
                        self.link.tally.bytes_sent += turn.written_bytes as u64;
                        if turn.read_bytes > 0 {
                            has_read = true;
                            self.heard(turn.read_bytes, timer.as_mut());
                        }
                    }
                    Err(error) => return End::Lost(error),
                },
                () = session.notified() => self.let_others_first().await,
                () = timer.as_mut() => match self.check() {
                    Ok(next) => timer.as_mut().reset(next),
                    Err(end) => return end,
                },
                () = std::future::ready(()), if is_spent => {}
            }
        }
    }

    /// Lets clients go first whose messages have come at the same time, if that has paid of late: what they have for this one
    /// goes out with what it was woken for.
    async fn let_others_first(&mut self) {
        if self.courtesy.pays() {
            let inbox = &self.link.session.inbox;
            let before = inbox.len();
            executor::yield_now().await;
            self.courtesy.learn(inbox.len() > before);
        }
    }

    fn reading(&self) -> Reading {
        if self.link.is_paused() || self.conn.output.pending_bytes() > OUTPUT_BYTES_MAX {
            Reading::Paused
        } else {
            Reading::Wanted
        }
    }

    /// Something has come.
    fn heard(&mut self, bytes: usize, timer: Pin<&mut Sleep>) {
        let now = Instant::now();
        self.patience.heard(bytes, now);
        if self.idle.heard(now) {
            timer.reset(self.next_check());
        }
    }

    fn keep_alive(&self) -> Option<Duration> {
        Some(self.link.client.keepalive)
            .filter(|secs| *secs > 0)
            .map(|secs| Duration::from_millis(1500 * u64::from(secs)))
    }

    /// When to look again whether the client is idle or gone.
    fn next_check(&self) -> Instant {
        let next = self.idle.next(self.keep_alive());
        self.link.expires_at.map_or(next, |at| next.min(at))
    }

    /// Looks whether the client is idle or gone.
    fn check(&mut self) -> Result<Instant, End> {
        let now = Instant::now();
        if self.link.expires_at.is_some_and(|at| now >= at) {
            return Err(End::Expired);
        }
        let is_idle = self.idle.look(now, self.link.is_paused(), self.keep_alive())?;
        self.link.paused_until = self.link.paused_until.filter(|until| now < *until);
        if is_idle {
            self.conn.trim();
            self.link.routes.clear();
            self.link.batch = Vec::new();
            self.patience.trim();
        }
        Ok(self.next_check())
    }
}

/// Tells an MQTT 5 client why, and closes.
async fn say_goodbye(mut conn: Conn, end: End) {
    if let (Version::V5, Some(code)) = (conn.output.version(), end.code()) {
        let code =
            DisconnectReasonCode::try_from(code.byte()).unwrap_or(DisconnectReasonCode::UnspecifiedError);
        acks::put(&mut conn.output, &Packet::Disconnect(Box::new(Disconnect::new(code))));
    }
    if let End::Lost(_) | End::Closed = end {
        return;
    }
    let _ = tokio::time::timeout(SAY_GOODBYE, conn.close()).await;
}
