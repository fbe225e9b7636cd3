use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::broker::Phase;
use crate::config::Listener;
use crate::{Broker, connect};

/// Binds every listener, or none.
pub(crate) async fn bind(listeners: &[Listener]) -> io::Result<Vec<(Listener, TcpListener, SocketAddr)>> {
    let mut bound = Vec::new();
    for listener in listeners {
        let socket = TcpListener::bind(listener.address).await?;
        let address = socket.local_addr()?;
        bound.push((listener.clone(), socket, address));
    }
    Ok(bound)
}

/// Accepts connections until the broker goes deaf.
pub(crate) async fn listen(broker: Arc<Broker>, listener: Listener, socket: TcpListener) {
    let deaf = broker.reached(Phase::Deaf);
    tokio::pin!(deaf);
    loop {
        let accepted = tokio::select! {
            () = &mut deaf => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((tcp, _)) => accept(&broker, &listener, tcp),
            Err(error) => {
                // Out of file descriptors, most of the time: those that close will help, not trying again at once.
                tracing::warn!(listener = listener.name, %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn accept(broker: &Arc<Broker>, listener: &Listener, tcp: TcpStream) {
    if broker.connections.fetch_add(1, Ordering::Relaxed) >= broker.config.connections_max {
        broker.connections.fetch_sub(1, Ordering::Relaxed);
        tracing::warn!(listener = listener.name, "connection closed: there are too many");
        return;
    }
    // Writes are batched, so waiting for more to send would only delay them.
    let _ = tcp.set_nodelay(true);
    let (broker, tls) = (Arc::clone(broker), listener.tls.clone());
    let tasks = broker.tasks.clone();
    tasks.spawn(async move {
        connect::serve(&broker, tcp, tls).await;
        broker.connections.fetch_sub(1, Ordering::Relaxed);
    });
}
