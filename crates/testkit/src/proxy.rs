use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::ports::free_port;
use crate::wait::wait_until;

/// A stretch of bad network: TCP connections through it are delayed, stalled, cut, corrupted or refused, as it is told.
///
/// Its address stays the same for as long as it lives, wherever it leads.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

/// What a [`Proxy`] does to connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Nobody listens: connections are refused. Those that are there stay.
    pub refuses: bool,
    /// Connections are accepted and nothing passes, in either direction.
    pub hangs: bool,
    /// What passes comes so much later.
    pub delay: Duration,
    /// One bit of every so many bytes is flipped, in both directions.
    pub flips_every: Option<u64>,
    /// So many bytes pass in a second on each connection, in each direction; what is more waits.
    pub bytes_per_second: Option<u32>,
}

#[derive(Debug)]
struct State {
    target: watch::Sender<SocketAddr>,
    faults: watch::Sender<Faults>,
    /// How often everything was cut.
    cuts: watch::Sender<u64>,
    /// So many bytes may still pass before everything is cut; [`UNLIMITED`] for no bound.
    fuse: AtomicU64,
    connections: AtomicU64,
}

const UNLIMITED: u64 = u64::MAX;
const CHUNK_BYTES: usize = 16 << 10;

impl Proxy {
    /// A proxy that leads to `target`, and does nothing to it yet.
    pub async fn to(target: SocketAddr) -> Self {
        let address = (Ipv4Addr::LOCALHOST, free_port()).into();
        let state = Arc::new(State {
            target: watch::Sender::new(target),
            faults: watch::Sender::new(Faults::default()),
            cuts: watch::Sender::new(0),
            fuse: AtomicU64::new(UNLIMITED),
            connections: AtomicU64::new(0),
        });
        let task = tokio::spawn(listen(address, Arc::clone(&state)));
        let proxy = Self { address, state, task };
        proxy.wait_reachable(true).await;
        proxy
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections elsewhere.
    pub fn lead_to(&self, target: SocketAddr) {
        self.state.target.send_replace(target);
    }

    /// Does this to all connections from now on.
    pub async fn set(&self, faults: Faults) {
        let refused_before = self.state.faults.send_replace(faults).refuses;
        if refused_before != faults.refuses {
            self.wait_reachable(!faults.refuses).await;
        }
    }

    /// Cuts all connections, as a router does that restarts: both ends get a reset.
    pub fn cut(&self) {
        self.state.fuse.store(UNLIMITED, Ordering::SeqCst);
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts all connections as soon as so many more bytes have passed, wherever in a packet that is.
    pub fn cut_after(&self, bytes: u64) {
        self.state.fuse.store(bytes, Ordering::SeqCst);
    }

    /// How many connections have been led on so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    async fn wait_reachable(&self, reachable: bool) {
        wait_until("the proxy listens, or does not, as it was told", async || {
            // Let through or not, a connection of ours is dropped at once.
            TcpStream::connect(self.address).await.is_ok() == reachable
        })
        .await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(address: SocketAddr, state: Arc<State>) {
    let mut faults = state.faults.subscribe();
    // Ends all connections with this task.
    let mut connections = JoinSet::new();
    loop {
        if faults.wait_for(|faults| !faults.refuses).await.is_err() {
            return;
        }
        let listener = TcpListener::bind(address).await.expect("the port of the proxy is its own");
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((near, _)) = accepted {
                        connections.spawn(lead(near, Arc::clone(&state)));
                    }
                }
                Some(_) = connections.join_next() => {}
                refuses = faults.wait_for(|faults| faults.refuses) => {
                    if refuses.is_err() {
                        return;
                    }
                    break;
                }
            }
        }
    }
}

/// One connection, from end to end.
async fn lead(near: TcpStream, state: Arc<State>) {
    let mut cuts = state.cuts.subscribe();
    let target = *state.target.borrow();
    let Ok(far) = TcpStream::connect(target).await else { return };
    state.connections.fetch_add(1, Ordering::SeqCst);
    for end in [&near, &far] {
        // With small packets delayed nothing here would be in time; what cannot be set does no harm.
        let _ = end.set_nodelay(true);
    }
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let up = pump(near_read, far_write, &state);
    let down = pump(far_read, near_write, &state);
    tokio::select! {
        // One end has closed, or a fuse has blown: so does the other.
        _ = up => {}
        _ = down => {}
        _ = cuts.changed() => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) -> std::io::Result<()> {
    let mut faults = state.faults.subscribe();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut passed = 0;
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        let now = faults.wait_for(|faults| !faults.hangs).await.map(|faults| *faults).unwrap_or_default();
        let share =
            now.bytes_per_second.map(|rate| Duration::from_secs_f64(count as f64 / f64::from(rate.max(1))));
        tokio::time::sleep(now.delay + share.unwrap_or_default()).await;
        flip(&mut buffer[..count], passed, now.flips_every);
        passed += count as u64;
        let left = burn(&state.fuse, count as u64);
        let allowed = usize::try_from(left).map_or(count, |left| left.min(count));
        to.write_all(&buffer[..allowed]).await?;
        if allowed < count {
            state.fuse.store(UNLIMITED, Ordering::SeqCst);
            state.cuts.send_modify(|cuts| *cuts += 1);
            return Ok(());
        }
    }
}

/// Takes `count` bytes off the fuse and tells how many of them may pass.
fn burn(fuse: &AtomicU64, count: u64) -> u64 {
    let shorter = |left: u64| (left != UNLIMITED).then(|| left.saturating_sub(count));
    fuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, shorter).unwrap_or(UNLIMITED)
}

/// Flips the lowest bit of each byte whose place in the stream is a multiple of `every`.
fn flip(bytes: &mut [u8], passed: u64, every: Option<u64>) {
    let Some(every) = every.filter(|every| *every > 0) else { return };
    for (place, byte) in (passed + 1..).zip(bytes) {
        if place.is_multiple_of(every) {
            *byte ^= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back whatever it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn said(stream: &mut TcpStream, text: &[u8]) -> Vec<u8> {
        let _ = stream.write_all(text).await;
        let mut answer = vec![0; text.len()];
        let mut length = 0;
        while length < answer.len() {
            match stream.read(&mut answer[length..]).await {
                Ok(0) | Err(_) => break,
                Ok(count) => length += count,
            }
        }
        answer.truncate(length);
        answer
    }

    #[test]
    fn flips_what_it_is_told() {
        let mut bytes = *b"aaaaaa";
        flip(&mut bytes, 1, Some(3));
        assert_eq!(&bytes, b"a`aa`a");
        flip(&mut bytes, 0, None);
        assert_eq!(&bytes, b"a`aa`a");
    }

    #[tokio::test]
    async fn does_what_it_is_told() {
        let proxy = Proxy::to(echo().await).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(said(&mut stream, b"plain").await, b"plain");

        proxy.set(Faults { flips_every: Some(4), ..Faults::default() }).await;
        // Twice on its way: the places count on in each direction, and the two flips undo each other.
        let mut fresh = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(said(&mut fresh, b"aaaaaaaa").await, b"aaaaaaaa");
        proxy.set(Faults::default()).await;

        proxy.cut_after(3);
        assert_eq!(said(&mut stream, b"broken off").await, b"");

        proxy.set(Faults { refuses: true, ..Faults::default() }).await;
        assert!(TcpStream::connect(proxy.address()).await.is_err());
        proxy.set(Faults { hangs: true, ..Faults::default() }).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        let silent = tokio::time::timeout(Duration::from_millis(50), said(&mut stream, b"?"));
        assert!(silent.await.is_err());
        proxy.set(Faults::default()).await;
        assert_eq!(said(&mut stream, b"!").await, b"?");

        proxy.cut();
        assert_eq!(said(&mut stream, b"gone").await, b"");
    }
}
