//! Letting what comes gather before it is read.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use mqtt::{Conn, Reading, Version};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

const PING: [u8; 2] = [0xC0, 0];

async fn pair() -> (Conn, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (peer, ours) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (Conn::client(ours.unwrap().0.into(), Version::V311, 1000), peer.unwrap())
}

#[tokio::test]
async fn small_packets_are_read_together_once_there_are_enough() {
    let (mut conn, mut peer) = pair().await;
    conn.read_from(6);
    let pings = async {
        for _ in 0..3 {
            peer.write_all(&PING).await.unwrap();
            // Long enough for the network to be looked at.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        }
    };
    let (turn, ()) = tokio::join!(conn.turn(Reading::Wanted), pings);
    assert_eq!(turn.unwrap().read_bytes, 6);
}

#[tokio::test]
async fn what_is_less_is_read_when_it_is_asked_for() {
    let (mut conn, mut peer) = pair().await;
    conn.read_from(1000);
    peer.write_all(&PING).await.unwrap();
    conn.read_from(1);
    assert_eq!(conn.turn(Reading::Wanted).await.unwrap().read_bytes, 2);
}

#[tokio::test]
async fn the_end_is_heard_at_once() {
    let (mut conn, peer) = pair().await;
    conn.read_from(1000);
    drop(peer);
    assert!(conn.turn(Reading::Wanted).await.unwrap().closed);
}
