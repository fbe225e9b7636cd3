//! Connections in, and how many, how long and how large they may be.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::{Context, router};

/// Connections at once; a further one waits in the listener's backlog until one ends.
const CONNECTIONS_MAX: usize = 512;

/// Connections of one address at once; a further one is closed. Whoever opens many and says nothing leaves room for others.
const CONNECTIONS_OF_ADDRESS_MAX: usize = CONNECTIONS_MAX / 2;

/// How long a request's head may take to arrive, which is also how long a connection may be idle.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);

/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long requests that are being answered may go on after `shutdown`.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// The pause after an error of `accept` that belongs to the system and not to the connection, such as no free handle.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests until `shutdown` completes; then takes no more, ends what is under way within five seconds, and
/// returns.
pub async fn serve(listener: TcpListener, context: Context, shutdown: impl Future<Output = ()>) {
    let service = TowerToHyperService::new(router(context));
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = GracefulShutdown::new();
    let callers = Callers::default();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(HEAD_BYTES_MAX);

    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, stream, caller) = tokio::select! {
            () = &mut shutdown => break,
            (slot, accepted) = accepted => match accepted {
                Ok((stream, from)) => match callers.enter(from.ip()) {
                    Some(caller) => (slot, stream, caller),
                    None => continue,
                },
                Err(error) => {
                    tracing::warn!(%error, "an HTTP connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            // What goes wrong here is the peer's: a broken request or a broken connection.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
            drop((slot, caller));
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME_MAX, open.shutdown()).await.is_err() {
        tracing::warn!("some HTTP requests were still under way and are cut off");
    }
}

/// How many connections each address has.
#[derive(Clone, Default)]
struct Callers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address, as long as it lives.
struct Caller {
    address: IpAddr,
    all: Callers,
}

impl Callers {
    /// One more, if the address may have it.
    fn enter(&self, address: IpAddr) -> Option<Caller> {
        let mut all = self.0.lock();
        let count = all.entry(address).or_default();
        if *count >= CONNECTIONS_OF_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Caller { address, all: self.clone() })
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        if let Some(count) = all.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.address);
            }
        }
    }
}
