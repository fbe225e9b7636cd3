//! Who comes to a listener and means no good, or nothing: each is answered, or let go within `connect_timeout`, and costs
//! nobody else anything.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use testkit::{Certificates, Client, Sluicegate};

use crate::gate;

/// CONNECT of MQTT 3.1.1 for the client `a`, and the CONNACK that answers it.
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";

fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    // Far more than anything here may take; without it a server that never lets go would hang the test.
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time that is not zero");
    stream
}

/// Everything that comes until the server closes.
fn until_closed(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // What was sent and not read makes a close a reset.
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        Ok(_) | Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Sends bytes, and tells what comes until the server closes.
fn tell(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = open(address);
    // The server may have closed before everything was sent.
    let _ = stream.write_all(bytes);
    until_closed(stream)
}

fn request(path: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    .into_bytes()
}

const SUBPROTOCOL: &str = "Sec-WebSocket-Protocol: mqtt\r\n";

/// A WebSocket that is open.
fn websocket(address: SocketAddr) -> TcpStream {
    let mut stream = open(address);
    stream.write_all(&request("/mqtt", SUBPROTOCOL)).expect("the server reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the server answers");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// A frame with a mask of zeros: first byte, length as it is told, payload.
fn frame(first: u8, length: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    if length < 126 {
        bytes.push(0x80 | length as u8);
    } else {
        bytes.push(0xFF);
        bytes.extend(length.to_be_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

async fn with_websocket(config: &str) -> (Sluicegate, SocketAddr) {
    let listener = "[[mqtt.listeners]]\ntype = \"ws\"\nlisten = \"127.0.0.1:0\"\n";
    let gate = gate().config(&format!("{config}{listener}")).start().await;
    let address = gate.listener("ws").await;
    (gate, address)
}

#[tokio::test]
async fn an_upgrade_that_is_not_wanted_is_told_why() {
    let (_gate, ws) = with_websocket("").await;
    let wrong_version =
        String::from_utf8(request("/mqtt", SUBPROTOCOL)).unwrap().replace("Version: 13", "Version: 8");
    for (what, bytes, status, hint) in [
        ("another path", request("/", SUBPROTOCOL), "404", "MQTT is at the path /mqtt"),
        ("no subprotocol", request("/mqtt", ""), "400", "ask for the subprotocol mqtt"),
        (
            "another subprotocol",
            request("/mqtt", "Sec-WebSocket-Protocol: chat\r\n"),
            "400",
            "ask for the subprotocol",
        ),
        (
            "a page of somebody else",
            request("/mqtt", &format!("{SUBPROTOCOL}Origin: http://evil.example\r\n")),
            "403",
            "allowed_origins",
        ),
        (
            "a browser's address bar",
            b"GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            "426",
            "MQTT over WebSocket",
        ),
        ("an old version", wrong_version.into_bytes(), "426", "Sec-WebSocket-Version: 13"),
        ("no GET", b"POST /mqtt HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "400", "which is a GET"),
        ("no HTTP", b"HELO there\r\n\r\n".to_vec(), "400", "which is a GET"),
        (
            "a head without end",
            [b"GET /mqtt HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 20_000]].concat(),
            "431",
            "too long",
        ),
    ] {
        let said = tell(ws, &bytes);
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {said}");
        assert!(said.to_lowercase().contains(&hint.to_lowercase()), "{what}: {said}");
    }
    assert_eq!(tell(ws, CONNECT), "", "MQTT without a WebSocket is not answered in HTTP");
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection_at_once() {
    let (_gate, ws) = with_websocket("").await;
    let unmasked = [&[0x82, CONNECT.len() as u8], CONNECT].concat();
    for (what, bytes) in [
        ("text", frame(0x81, 5, b"hello")),
        ("a length that nobody could send", frame(0x82, 1 << 40, b"x")),
        ("no mask", unmasked),
        ("a reserved kind", frame(0x83, 1, b"a")),
        ("a reserved bit", frame(0xC2, 1, b"a")),
        ("the rest of nothing", frame(0x80, 1, b"a")),
        ("a ping in pieces", frame(0x09, 1, b"a")),
        ("a ping that is too long", frame(0x89, 200, &[b'a'; 200])),
    ] {
        let mut stream = websocket(ws);
        stream.write_all(&bytes).expect("the server reads");
        let started = std::time::Instant::now();
        assert_eq!(until_closed(stream).len().min(4), 0, "{what}");
        // The time for CONNECT, ten seconds, was not waited for.
        assert!(started.elapsed() < Duration::from_secs(8), "{what}");
    }
}

#[tokio::test]
async fn a_packet_may_come_in_any_pieces() {
    let (_gate, ws) = with_websocket("").await;
    let mut stream = websocket(ws);
    let (one, rest) = CONNECT.split_at(1);
    let (two, three) = rest.split_at(4);
    // Two messages, the second of them in two fragments with a ping and an empty frame between.
    let pieces = [
        frame(0x82, 1, one),
        frame(0x82, 0, b""),
        frame(0x02, 4, two),
        frame(0x89, 1, b"?"),
        frame(0x80, three.len() as u64, three),
    ];
    for byte in pieces.concat() {
        stream.write_all(&[byte]).expect("the server reads");
    }
    let mut answer = [0; 3 + 2 + 4];
    stream.read_exact(&mut answer).expect("the server answers");
    assert_eq!(answer, *[b"\x8a\x01?\x82\x04", CONNACK].concat());
}

#[tokio::test]
async fn whoever_does_not_come_to_the_point_is_let_go() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let made = Certificates::write(folder.path());
    let tls = format!(
        "[[mqtt.listeners]]\ntype = \"tls\"\nlisten = \"127.0.0.1:0\"\ncertfile = \"{}\"\nkeyfile = \"{}\"\n",
        made.certificate.display(),
        made.key.display()
    );
    let (gate, ws) = with_websocket(&format!("[mqtt]\nconnect_timeout = \"1s\"\n{tls}")).await;
    let (tcp, tls) = (gate.mqtt(), gate.listener("tls").await);
    let drip = |address: SocketAddr, bytes: &'static [u8]| {
        std::thread::spawn(move || {
            let mut stream = open(address);
            // One byte now and then must not buy more time.
            for byte in bytes.iter().cycle().take(400) {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            panic!("{address} still reads");
        })
    };
    let silent = |address: SocketAddr| std::thread::spawn(move || drop(until_closed(open(address))));
    let pings = std::thread::spawn(move || {
        let mut stream = websocket(ws);
        for _ in 0..400 {
            if stream.write_all(&frame(0x89, 1, b"?")).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("pings of a WebSocket are no CONNECT");
    });
    let upgraded = std::thread::spawn(move || drop(until_closed(websocket(ws))));
    let threads = [
        silent(tcp),
        silent(tls),
        silent(ws),
        drip(tcp, b"\x10\xff\x7f\x00\x04MQTT\x04\x02\x00\x00"),
        drip(tls, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        drip(ws, b"GET /mqtt HTTP/1.1\r\nX: "),
        pings,
        upgraded,
    ];
    for thread in threads {
        thread.join().expect("it was let go");
    }
    // Garbage and other protocols are no reason to wait for that time.
    for (what, address, bytes) in [
        ("HTTP to MQTT", tcp, &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]),
        ("MQTT to TLS", tls, CONNECT),
        ("TLS to MQTT", tcp, b"\x16\x03\x01\x00\x05hello"),
    ] {
        assert!(!tell(address, bytes).starts_with("\x20"), "{what}");
    }
    Client::connect(tcp, "honest").await;
}

/// CONNECT counts, not what its listener takes from those it knows.
#[tokio::test]
async fn nobody_is_read_beyond_a_connect_before_it_is_accepted() {
    let (_gate, ws) = with_websocket("[mqtt]\nmax_packet_size = \"64MB\"\n").await;
    let pings = frame(0x89, 125, &[b'a'; 125]).repeat(3_000);
    let pieces = [frame(0x02, 1, b"\x10"), frame(0x00, 60_000, &[b'a'; 60_000]).repeat(6)].concat();
    for (what, bytes) in [
        ("the header of a message alone", frame(0x82, 300_000, b"")),
        ("pings", pings),
        ("a message in pieces", pieces),
    ] {
        let mut stream = websocket(ws);
        let started = std::time::Instant::now();
        // The server may have closed before everything was sent.
        let _ = stream.write_all(&bytes);
        drop(until_closed(stream));
        assert!(started.elapsed() < Duration::from_secs(8), "{what}");
    }
    // Who is let in may go on with as much as the listener takes, and need not wait for the answer.
    let mut publish = vec![0x32, 0x87, 0x80, 0x80, 0x01, 0, 1, b't', 0, 7];
    publish.resize(5 + (2 << 20) + 7, b'a');
    let mut stream = websocket(ws);
    let both =
        [frame(0x82, CONNECT.len() as u64, CONNECT), frame(0x82, publish.len() as u64, &publish)].concat();
    stream.write_all(&both).expect("the server reads");
    let mut answer = [0; 2 + 4 + 2 + 4];
    stream.read_exact(&mut answer).expect("the server answers");
    assert_eq!(answer, *[b"\x82\x04", CONNACK, b"\x82\x04\x40\x02\0\x07"].concat());
}
