use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::Message;

/// What a client has received and what it still waits for: written by its driver, read by the test.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    /// Topics of what came and was taken, for reports.
    taken: Vec<String>,
    /// Publishes that have no packet id yet, in the order in which they were asked for.
    unsent: VecDeque<oneshot::Sender<()>>,
    unacked: HashMap<u16, oneshot::Sender<()>>,
    subacks: VecDeque<oneshot::Sender<Option<String>>>,
    connections: usize,
    fences: usize,
    closing: bool,
    troubles: Vec<String>,
}

impl Inbox {
    pub(super) async fn next(&self, filter: &str) -> Message {
        loop {
            let changed = self.changed.notified();
            if let Some(message) = self.take(filter) {
                return message;
            }
            changed.await;
        }
    }

    fn take(&self, filter: &str) -> Option<Message> {
        let mut state = self.state();
        let at = state.messages.iter().position(|message| rumqttc::matches(&message.topic, filter))?;
        let message = state.messages.remove(at)?;
        state.taken.push(message.topic.clone());
        Some(message)
    }

    pub(super) fn waiting(&self, filter: &str) -> Vec<Message> {
        let state = self.state();
        state.messages.iter().filter(|message| rumqttc::matches(&message.topic, filter)).cloned().collect()
    }

    /// Waits for the first connection; an error is what prevented it.
    pub(super) async fn connected(&self) -> Result<(), String> {
        loop {
            let changed = self.changed.notified();
            if self.connections() > 0 {
                return Ok(());
            }
            if let Some(trouble) = self.state().troubles.first() {
                return Err(trouble.clone());
            }
            changed.await;
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.state().connections
    }

    /// A number not given before.
    pub(super) fn fence(&self) -> usize {
        let mut state = self.state();
        state.fences += 1;
        state.fences
    }

    pub(super) fn expect_ack(&self, done: oneshot::Sender<()>) {
        self.state().unsent.push_back(done);
    }

    pub(super) fn expect_suback(&self, done: oneshot::Sender<Option<String>>) {
        self.state().subacks.push_back(done);
    }

    pub(super) fn close(&self) {
        self.state().closing = true;
    }

    pub(super) fn closing(&self) -> bool {
        self.state().closing
    }

    pub(super) fn on_connected(&self) {
        self.state().connections += 1;
        self.changed.notify_waiters();
    }

    pub(super) fn on_message(&self, message: Message) {
        self.state().messages.push_back(message);
        self.changed.notify_waiters();
    }

    /// A publish is on its way under this packet id, 0 for QoS 0. After a reconnect the same ids are sent again.
    pub(super) fn on_sent(&self, packet: u16) {
        let mut state = self.state();
        if packet != 0 && state.unacked.contains_key(&packet) {
            return;
        }
        match state.unsent.pop_front() {
            // Whoever asked may have stopped waiting.
            Some(done) if packet == 0 => drop(done.send(())),
            Some(done) => drop(state.unacked.insert(packet, done)),
            None => {}
        }
    }

    pub(super) fn on_ack(&self, packet: u16) {
        if let Some(done) = self.state().unacked.remove(&packet) {
            let _ = done.send(());
        }
    }

    /// `refusal` is the broker's reason, or none if it agreed.
    pub(super) fn on_suback(&self, refusal: Option<String>) {
        if let Some(done) = self.state().subacks.pop_front() {
            let _ = done.send(refusal);
        }
    }

    pub(super) fn on_trouble(&self, trouble: String) {
        let mut state = self.state();
        if state.troubles.last() != Some(&trouble) {
            state.troubles.push(trouble);
            self.changed.notify_waiters();
        }
    }

    /// All that is known, for the message of a failing test.
    pub(super) fn report(&self) -> String {
        const SHOWN: usize = 20;
        let state = self.state();
        let first: Vec<_> = state.messages.iter().take(SHOWN).collect();
        format!(
            "{} messages were taken, {} wait ({first:#?}{}); {} connections, troubles: {:?}",
            state.taken.len(),
            state.messages.len(),
            if state.messages.len() > SHOWN { " and more" } else { "" },
            state.connections,
            state.troubles,
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
