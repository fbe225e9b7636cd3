use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::websocket::{WebSocket, WebSocketError, WebSocketTerms};

/// The bytes below a connection.
#[derive(Debug)]
pub enum Stream {
    /// In the clear.
    Tcp(TcpStream),
    /// Encrypted, from either side.
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
    /// In the frames of a WebSocket, over either.
    WebSocket(Box<WebSocket>),
}

impl Stream {
    /// Shakes hands as a client. `name` is what the certificate must be for, and what SNI says.
    pub async fn tls_client(
        tcp: TcpStream,
        config: Arc<rustls::ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }

    /// Shakes hands as a server.
    pub async fn tls_server(tcp: TcpStream, config: Arc<rustls::ServerConfig>) -> io::Result<Self> {
        let stream = tokio_rustls::TlsAcceptor::from(config).accept(tcp).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }

    /// Takes the upgrade to a WebSocket as a server. `stranger_bytes_max` bounds what may come in frames before the client is
    /// known, which [`Conn::trust`](crate::Conn::trust) says.
    pub async fn websocket_server(
        self,
        terms: &WebSocketTerms,
        stranger_bytes_max: usize,
    ) -> Result<Self, WebSocketError> {
        Ok(Stream::WebSocket(Box::new(WebSocket::accept(self, terms, stranger_bytes_max).await?)))
    }

    /// The client is known.
    pub(crate) fn trust(&mut self) {
        match self {
            Stream::Tcp(_) | Stream::Tls(_) => {}
            Stream::WebSocket(websocket) => websocket.trust(),
        }
    }

    /// The certificate that the other side has shown, and that was verified (DER).
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Stream::Tcp(_) => None,
            Stream::Tls(tls) => tls.get_ref().1.peer_certificates()?.first(),
            Stream::WebSocket(websocket) => websocket.below().peer_certificate(),
        }
    }

    /// Lets the system tell of what comes only from so many bytes on. Whether it does.
    pub(crate) fn set_read_threshold(&self, bytes: u32) -> bool {
        set_read_threshold(self.tcp(), bytes)
    }

    /// Confirms to the peer's system what has come, without waiting for company.
    pub(crate) fn confirm(&self) {
        confirm(self.tcp());
    }

    /// The socket.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Tcp(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
            Stream::WebSocket(websocket) => websocket.below().tcp(),
        }
    }
}

/// Lets the system tell of what comes only from so many bytes on (`SO_RCVLOWAT`). Whether it does. Linux tells when the
/// number falls to what is there already, others may not.
#[cfg(target_os = "linux")]
fn set_read_threshold(tcp: &TcpStream, bytes: u32) -> bool {
    use std::os::fd::AsRawFd;
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is that of a socket which the borrow keeps open, and the pointer and the length are those of
    // an integer that lives longer than the call, which only reads it.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::setsockopt(
            tcp.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn set_read_threshold(_: &TcpStream, _: u32) -> bool {
    false
}

/// Confirms to the peer's system what has come (`TCP_QUICKACK`), which is otherwise done with the next bytes that go, or after
/// 40 ms. Where there is no such option, that is when it is done.
#[cfg(target_os = "linux")]
fn confirm(tcp: &TcpStream) {
    let _ = socket2::SockRef::from(tcp).set_tcp_quickack(true);
}

#[cfg(not(target_os = "linux"))]
fn confirm(_: &TcpStream) {}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Stream::Tcp(tcp)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_read(cx, into),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, into),
            Stream::WebSocket(websocket) => Pin::new(websocket).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write(cx, from),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, from),
            Stream::WebSocket(websocket) => Pin::new(websocket).poll_write(cx, from),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Stream::WebSocket(websocket) => Pin::new(websocket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Stream::WebSocket(websocket) => Pin::new(websocket).poll_shutdown(cx),
        }
    }
}
