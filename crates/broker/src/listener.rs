use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use executor::Executor;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::broker::Phase;
use crate::config::Listener;
use crate::gate::{Gate, Pace, Refused};
use crate::{Broker, connect};

/// Connections past the limit that are let in for a moment, only to be told why they may not stay.
const SPARE: usize = 16;

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for `{name}`: {cause}")]
pub struct ListenError {
    /// The name of the listener.
    pub name: String,
    /// The address as it was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub cause: io::Error,
}

/// Binds every listener, or none.
pub(crate) async fn bind(
    listeners: &[Listener],
) -> Result<Vec<(Gate, TcpListener, SocketAddr)>, ListenError> {
    let mut bound = Vec::new();
    for listener in listeners {
        let failed = |cause| ListenError { name: listener.name.clone(), address: listener.address, cause };
        let socket = TcpListener::bind(listener.address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        bound.push((Gate::new(listener.clone()), socket, address));
    }
    Ok(bound)
}

/// Accepts connections until the broker goes deaf, and runs them in `executor`.
pub(crate) async fn listen(
    broker: &Arc<Broker>,
    gate: &Arc<Gate>,
    socket: &TcpListener,
    executor: &Executor,
) {
    let deaf = broker.reached(Phase::Deaf);
    tokio::pin!(deaf);
    let mut pace = Pace::new(gate.limits().connection_rate_max);
    loop {
        let accepted = tokio::select! {
            () = &mut deaf => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peername)) => {
                accept(broker, gate, tcp, peername, executor);
                // Whoever comes too fast waits in the system's queue, which is short: no refusal, no reconnecting herd.
                if let Some(next) = pace.pass(Instant::now()) {
                    tokio::select! {
                        () = &mut deaf => return,
                        () = tokio::time::sleep_until(next) => {}
                    }
                }
            }
            Err(error) => {
                // Out of file descriptors, most of the time: those that close will help, not trying again at once.
                tracing::warn!(listener = gate.listener.name, %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A connection's place on its listener, which it gives back when it ends, however it does.
struct Place(Arc<Gate>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.left();
    }
}

fn accept(broker: &Arc<Broker>, gate: &Arc<Gate>, tcp: TcpStream, peername: SocketAddr, executor: &Executor) {
    let max = gate.limits().connections_max;
    let (before, place) = (gate.entered(), Place(Arc::clone(gate)));
    if before >= max {
        gate.refused(Refused::Full, peername, &format_args!("there are {max} connections already"));
        if before >= max + SPARE {
            return;
        }
    }
    // Writes are batched, so waiting for more to send would only delay them.
    let _ = tcp.set_nodelay(true);
    let broker = Arc::clone(broker);
    let tasks = broker.tasks.clone();
    executor.spawn(tasks.track_future(async move {
        if before < max {
            connect::serve(&broker, &place.0, tcp).await;
        } else {
            // On the heap, so that those who may stay do not carry the room for it.
            Box::pin(connect::turn_away(&broker, &place.0, tcp)).await;
        }
    }));
}
