//! The API on a real socket.

use std::time::Duration;

use api::ApiKeys;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::gate::Gate;

struct Server {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    _gate: Gate,
}

async fn start() -> Server {
    let gate = Gate::start(&[], ApiKeys::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(api::serve(listener, gate.context(), async {
        let _ = stopped.await;
    }));
    Server { address, stop, ended, _gate: gate }
}

async fn exchange(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut bytes = vec![0; 64 * 1024];
    let mut filled = 0;
    // The head of an answer comes whole, and small bodies with it; read until the body is as long as it says.
    loop {
        let read = stream.read(&mut bytes[filled..]).await.unwrap();
        filled += read;
        let text = String::from_utf8_lossy(&bytes[..filled]).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if read == 0 || whole {
            return text;
        }
    }
}

#[tokio::test]
async fn it_answers_and_stops_politely() {
    let server = start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let answer = exchange(&mut idle, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");

    server.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server.ended).await.expect("it ends").unwrap();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap_or(0), 0, "an idle connection is closed");
    assert!(TcpStream::connect(server.address).await.is_err(), "and no other is taken");
}

#[tokio::test]
async fn whoever_sends_too_much_can_read_why_not() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut request =
        b"POST /api/v5/rule_test HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3000000\r\n\r\n".to_vec();
    request.resize(request.len() + 3_000_000, b' ');
    let answer = exchange(&mut stream, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let answer = exchange(&mut stream, b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n", "x".repeat(200_000));
    let answer = exchange(&mut stream, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

/// A connection from one of the addresses of loopback.
async fn connect_from(from: [u8; 4], to: std::net::SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn whoever_takes_many_connections_leaves_room_for_others() {
    const MOST: usize = 256;
    const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let server = start().await;
    let mut silent = Vec::new();
    for _ in 0..MOST {
        silent.push(connect_from([127, 0, 0, 1], server.address).await);
    }
    // The last of them is in: then all are.
    let answer = exchange(silent.last_mut().unwrap(), ASK).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut further = connect_from([127, 0, 0, 1], server.address).await;
    assert_eq!(further.read(&mut [0; 16]).await.unwrap_or(0), 0, "one too many is closed");
    let mut other = connect_from([127, 0, 0, 2], server.address).await;
    assert!(exchange(&mut other, ASK).await.starts_with("HTTP/1.1 200"), "somebody else is served");
    drop(silent);
    // Those that are gone make room again, once the server has noticed.
    for _ in 0..1_000 {
        let mut again = connect_from([127, 0, 0, 1], server.address).await;
        if again.write_all(ASK).await.is_ok() && again.read(&mut [0; 16]).await.unwrap_or(0) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("there is no room again");
}
