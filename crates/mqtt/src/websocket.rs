//! MQTT in the frames of a WebSocket (MQTT 5.0 §6), as a server takes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::Stream;

/// Payload of one frame that we send at the most. What waits in a WebSocket that its client does not read is no more
/// than this and its header.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// The buffer that every WebSocket has all its life. Frames that are larger get their room when they come.
const READ_BUFFER_BYTES: usize = 4 * 1024;
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
    /// Those of the host that the request is for, and of this machine: where clients need no credentials, any other page that
    /// a user happens to visit could otherwise speak for them.
    SameHost,
    /// These, as a browser writes them: `https://app.example.com`.
    Listed(Vec<String>),
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The request was answered with this status.
    #[error("the upgrade was refused with status {0}")]
    Refused(u16),
    /// It was no upgrade, or did not arrive whole.
    #[error("no upgrade to a WebSocket: {0}")]
    Handshake(#[source] Box<Error>),
}

/// A WebSocket as a stream of bytes: MQTT pays no heed to where frames begin and end [MQTT-6.0.0-2].
#[derive(Debug)]
pub struct WebSocket {
    frames: WebSocketStream<Stream>,
    /// What is left of the message that was read last.
    rest: Bytes,
    is_over: bool,
}

impl WebSocket {
    pub(crate) async fn accept(stream: Stream, terms: &WebSocketTerms) -> Result<Self, WebSocketError> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            // Packets are gathered before they come here.
            .write_buffer_size(0)
            .max_write_buffer_size(4 * FRAME_BYTES_MAX)
            .max_frame_size(Some(terms.message_bytes_max))
            .max_message_size(Some(terms.message_bytes_max));
        let check = Check { terms: terms.clone() };
        let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(config)).await;
        let frames = accepted.map_err(|error| match error {
            Error::Http(response) => WebSocketError::Refused(response.status().as_u16()),
            error => WebSocketError::Handshake(Box::new(error)),
        })?;
        Ok(Self { frames, rest: Bytes::new(), is_over: false })
    }

    /// What carries the frames.
    pub(crate) fn below(&self) -> &Stream {
        self.frames.get_ref()
    }
}

/// Looks at the request of an upgrade.
struct Check {
    terms: WebSocketTerms,
}

impl Callback for Check {
    fn on_request(self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        if request.uri().path() != self.terms.path {
            let hint = format!("MQTT is at the path {}\n", self.terms.path);
            return Err(refusal(StatusCode::NOT_FOUND, hint));
        }
        if !self.terms.origins.allow(request) {
            let hint = "this page may not connect: see allowed_origins of the listener\n";
            return Err(refusal(StatusCode::FORBIDDEN, hint.to_owned()));
        }
        let Some(subprotocol) = subprotocol(request) else {
            let hint = "ask for the subprotocol mqtt in Sec-WebSocket-Protocol\n";
            return Err(refusal(StatusCode::BAD_REQUEST, hint.to_owned()));
        };
        // [MQTT-6.0.0-4]
        response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(subprotocol));
        Ok(response)
    }
}

fn refusal(status: StatusCode, hint: String) -> ErrorResponse {
    let length = hint.len();
    let mut response = ErrorResponse::new(Some(hint));
    *response.status_mut() = status;
    response.headers_mut().insert("Content-Length", length.into());
    response.headers_mut().insert("Connection", HeaderValue::from_static("close"));
    response
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
            Origins::SameHost => {
                let host_of = |text: &str| text.parse::<Uri>().ok()?.host().map(str::to_ascii_lowercase);
                let Some(from) = host_of(origin) else { return false };
                let is_local = matches!(&*from, "localhost" | "127.0.0.1" | "[::1]");
                is_local || header("Host").and_then(host_of) == Some(from)
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
            ("http://gate.example", true),
            ("https://GATE.example:9443", true),
            ("http://localhost:3000", true),
            ("http://[::1]:3000", true),
            ("https://evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(allowed(&Origins::SameHost, origin), same, "{origin}");
            assert!(allowed(&Origins::Any, origin));
        }
        let listed = Origins::Listed(vec!["https://app.example".to_owned()]);
        assert!(allowed(&listed, "https://app.example") && !allowed(&listed, "http://gate.example"));
        assert!(Origins::SameHost.allow(&request(&[("Host", "gate.example")])), "no browser, no origin");
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
