//! MQTT in the frames of a WebSocket (MQTT 5.0 §6), as a server takes it.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response, create_response, write_response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::Stream;
use crate::stranger::Below;

/// Payload of one frame that we send at the most. What waits in a WebSocket that its client does not read is no more
/// than this and its header.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// The buffer that every WebSocket has all its life. Frames that are larger get their room when they come.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// The head of an upgrade's request that is read at the most.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What is told to what cannot be read as a request.
const NO_REQUEST: &str = "this is no request for a WebSocket, which is a GET in HTTP/1.1";
/// The names of MQTT among WebSocket's subprotocols, the one for 3.1.1 and 5 first [MQTT-6.0.0-3].
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What an upgrade to a WebSocket must fulfil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketTerms {
    /// The path of the request.
    pub path: String,
    /// Which web pages may open one.
    pub origins: Origins,
    /// The payload of one message that is taken (bytes); it may hold several packets, or a part of one.
    pub message_bytes_max: usize,
}

/// Which web pages may open a WebSocket. What is not a browser sends no Origin, and is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Any.
    Any,
    /// Those of this machine, by its address or as `localhost`: where clients need no credentials, any other page that a user
    /// happens to visit could otherwise speak for them, also one whose name is made to lead here.
    ThisMachine,
    /// These, as a browser writes them: `https://app.example.com`.
    Listed(Vec<String>),
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The request was answered with this status.
    #[error("the upgrade was refused with status {0}")]
    Refused(u16),
    /// It was no HTTP at all.
    #[error("no request for a WebSocket, but something else than HTTP")]
    NoHttp,
    /// The request did not arrive whole.
    #[error("no upgrade to a WebSocket: {0}")]
    Io(#[from] io::Error),
}

/// A WebSocket as a stream of bytes: MQTT pays no heed to where frames begin and end [MQTT-6.0.0-2].
#[derive(Debug)]
pub struct WebSocket {
    frames: WebSocketStream<Below>,
    /// What is left of the message that was read last.
    rest: Bytes,
    is_over: bool,
}

impl WebSocket {
    pub(crate) async fn accept(
        mut stream: Stream,
        terms: &WebSocketTerms,
        stranger_bytes_max: usize,
    ) -> Result<Self, WebSocketError> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            // Packets are gathered before they come here.
            .write_buffer_size(0)
            .max_write_buffer_size(4 * FRAME_BYTES_MAX)
            .max_frame_size(Some(terms.message_bytes_max))
            .max_message_size(Some(terms.message_bytes_max));
        let (request, rest) = head(&mut stream).await?;
        let answer = response(&request, terms);
        let bytes = answer.as_ref().map_or_else(Refusal::bytes, bytes_of);
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        if let Err(refusal) = answer {
            return Err(WebSocketError::Refused(refusal.status.as_u16()));
        }
        let below = Below::new(stream, rest, stranger_bytes_max);
        let frames = WebSocketStream::from_raw_socket(below, Role::Server, Some(config)).await;
        Ok(Self { frames, rest: Bytes::new(), is_over: false })
    }

    /// What carries the frames.
    pub(crate) fn below(&self) -> &Stream {
        self.frames.get_ref().stream()
    }

    /// The client is known: what may come is bounded by the terms alone.
    pub(crate) fn trust(&mut self) {
        self.frames.get_mut().trust();
    }
}

/// Reads the head of a request, and what came behind it.
async fn head(stream: &mut Stream) -> Result<(Request, Vec<u8>), WebSocketError> {
    const END: &[u8] = b"\r\n\r\n";
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let seen = bytes.len().saturating_sub(END.len() - 1);
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        // Nothing is parsed before it is whole, so that many small pieces cost no more than one.
        if let Some(at) = bytes[seen..].windows(END.len()).position(|window| window == END) {
            let rest = bytes.split_off(seen + at + END.len());
            return match Request::try_parse(&bytes) {
                Ok(Some((_, request))) => Ok((request, rest)),
                Ok(None) | Err(_) => Err(refuse(stream, StatusCode::BAD_REQUEST, NO_REQUEST).await),
            };
        }
        if bytes.len() > HEAD_BYTES_MAX {
            let hint = "the head of the request is too long";
            return Err(refuse(stream, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, hint).await);
        }
        if !could_be_http(&bytes) {
            return Err(WebSocketError::NoHttp);
        }
    }
}

/// Whether a request may begin like this: what speaks MQTT, or TLS, to this port is not answered in HTTP.
fn could_be_http(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
}

async fn refuse(stream: &mut Stream, status: StatusCode, hint: &str) -> WebSocketError {
    let refusal = Refusal { status, hint: format!("{hint}\n") };
    // Whoever does not read it has lost nothing.
    let _ = stream.write_all(&refusal.bytes()).await;
    let _ = stream.flush().await;
    WebSocketError::Refused(status.as_u16())
}

/// What an upgrade that is not wanted is told.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    hint: String,
}

impl Refusal {
    fn bytes(&self) -> Vec<u8> {
        let Self { status, hint } = self;
        let upgrade = match *status {
            StatusCode::UPGRADE_REQUIRED => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        };
        let length = hint.len();
        format!(
            "HTTP/1.1 {status}\r\n{upgrade}Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{hint}"
        )
        .into_bytes()
    }
}

/// What an upgrade is answered.
fn response(request: &Request, terms: &WebSocketTerms) -> Result<Response, Refusal> {
    let refusal = |status, hint: &str| Refusal { status, hint: format!("{hint}\n") };
    if request.uri().path() != terms.path {
        return Err(refusal(StatusCode::NOT_FOUND, &format!("MQTT is at the path {}", terms.path)));
    }
    let mut response = create_response(request).map_err(|error| match error {
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader
            | ProtocolError::MissingSecWebSocketVersionHeader,
        ) => refusal(StatusCode::UPGRADE_REQUIRED, "this is MQTT over WebSocket: come with an MQTT client"),
        error => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    })?;
    if !terms.origins.allow(request) {
        let hint = "this page may not connect: see allowed_origins of the listener";
        return Err(refusal(StatusCode::FORBIDDEN, hint));
    }
    let Some(subprotocol) = subprotocol(request) else {
        let hint = "ask for the subprotocol mqtt in Sec-WebSocket-Protocol";
        return Err(refusal(StatusCode::BAD_REQUEST, hint));
    };
    // [MQTT-6.0.0-4]
    response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(subprotocol));
    Ok(response)
}

fn bytes_of(response: &Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector takes everything, and our headers are ASCII.
    let _ = write_response(&mut bytes, response);
    bytes
}

/// The first of ours that the client offers, in our order.
fn subprotocol(request: &Request) -> Option<&'static str> {
    let offered = |name: &&str| {
        let headers = request.headers().get_all("Sec-WebSocket-Protocol");
        let mut offers =
            headers.iter().filter_map(|header| header.to_str().ok()).flat_map(|it| it.split(','));
        offers.any(|offer| offer.trim() == *name)
    };
    SUBPROTOCOLS.into_iter().find(offered)
}

impl Origins {
    fn allow(&self, request: &Request) -> bool {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        let Some(origin) = header("Origin") else { return true };
        match self {
            Origins::Any => true,
            Origins::Listed(listed) => listed.iter().any(|it| it.eq_ignore_ascii_case(origin)),
            Origins::ThisMachine => {
                let host_of = |text: &str| text.parse::<Uri>().ok()?.host().map(str::to_ascii_lowercase);
                let Some(from) = host_of(origin) else { return false };
                let is_address = from.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
                let is_local = matches!(&*from, "localhost" | "127.0.0.1" | "[::1]");
                is_local || (is_address && header("Host").and_then(host_of) == Some(from))
            }
        }
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() && !this.is_over {
            match ready!(Pin::new(&mut this.frames).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => this.rest = bytes,
                // The answer to a ping is on its way by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                None | Some(Ok(Message::Close(_))) => this.is_over = true,
                // [MQTT-6.0.0-1]
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    let what = "a frame that is not binary";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
        }
        let count = this.rest.len().min(into.remaining());
        into.put_slice(&this.rest.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.frames).poll_ready(cx)).map_err(io_error)?;
        let count = from.len().min(FRAME_BYTES_MAX);
        let message = Message::Binary(Bytes::copy_from_slice(&from[..count]));
        Pin::new(&mut this.frames).start_send(message).map_err(io_error)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().frames).poll_flush(cx).map_err(io_error)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().frames).poll_close(cx).map_err(io_error)
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().uri("/mqtt");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn pages_of_other_hosts_are_kept_out_where_nobody_logs_in() {
        let allowed = |origins: &Origins, origin| {
            origins.allow(&request(&[("Host", "gate.example:8083"), ("Origin", origin)]))
        };
        for (origin, same) in [
            // The name of the request may be one that somebody else has made to lead here.
            ("http://gate.example", false),
            ("http://127.0.0.1:3000", true),
            ("http://localhost:3000", true),
            ("http://[::1]:3000", true),
            ("https://evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(allowed(&Origins::ThisMachine, origin), same, "{origin}");
            assert!(allowed(&Origins::Any, origin));
        }
        let listed = Origins::Listed(vec!["https://app.example".to_owned()]);
        assert!(allowed(&listed, "https://app.example") && !allowed(&listed, "http://gate.example"));
        assert!(Origins::ThisMachine.allow(&request(&[("Host", "gate.example")])), "no browser, no origin");
        let by_address = request(&[("Host", "10.0.0.7:8083"), ("Origin", "http://10.0.0.7")]);
        assert!(Origins::ThisMachine.allow(&by_address));
    }

    #[test]
    fn mqtt_6_0_0_3_one_of_the_subprotocols_must_be_offered() {
        let chosen = |offers: &str| subprotocol(&request(&[("Sec-WebSocket-Protocol", offers)]));
        assert_eq!(chosen("chat, mqttv3.1 , mqtt"), Some("mqtt"));
        assert_eq!(chosen("mqttv3.1"), Some("mqttv3.1"));
        assert_eq!(chosen("chat"), None);
        assert_eq!(subprotocol(&request(&[])), None);
    }
}
