//! One connection: name, guard, TCP, TLS.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use crate::settings::Options;

/// Opens connections for the client.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) options: Arc<Options>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {reason}")]
pub(crate) struct ConnectError {
    /// How far it came.
    pub(crate) stage: &'static str,
    /// What happened there.
    pub(crate) reason: String,
}

impl Transport {
    /// Connects to the server of an address, within `connect_timeout`.
    pub(crate) async fn connect(&self, uri: &Uri) -> Result<Stream, ConnectError> {
        let mut stage = "name resolution";
        let within = self.options.connect_timeout;
        match tokio::time::timeout(within, self.attempt(uri, &mut stage)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(reason)) => Err(ConnectError { stage, reason }),
            Err(_) => Err(ConnectError { stage, reason: format!("no answer within {within:?}") }),
        }
    }

    async fn attempt(&self, uri: &Uri, stage: &mut &'static str) -> Result<Stream, String> {
        let is_https = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let guard = &self.options.guard;
        guard.host(host).map_err(|error| error.to_string())?;
        let found = tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| format!("`{host}` cannot be resolved: {error}"))?;
        // The very addresses that were looked at are the ones connected to, so that a second answer cannot differ.
        let mut allowed = Vec::new();
        let mut refusal = None;
        for address in found {
            match guard.address(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(error) => refusal = Some(error),
            }
        }
        if let (true, Some(refusal)) = (allowed.is_empty(), refusal) {
            *stage = "guard";
            return Err(refusal.to_string());
        }
        *stage = "TCP";
        let tcp = tcp(&allowed).await.map_err(|error| format!("{host}:{port}: {}", tls::in_words(&error)))?;
        // What cannot be set is no reason not to connect.
        let _ = tcp.set_nodelay(true);
        if !is_https {
            return Ok(Stream::Plain(TokioIo::new(tcp)));
        }
        *stage = "TLS";
        let (config, name) = self.encryption(host).await?;
        let stream = TlsConnector::from(config).connect(name, tcp).await;
        Ok(Stream::Tls(Box::new(TokioIo::new(stream.map_err(|error| tls::in_words(&error))?))))
    }

    /// Reads the files anew for each connection: certificates change while the server runs.
    async fn encryption(
        &self,
        host: &str,
    ) -> Result<(Arc<ClientConfig>, rustls::pki_types::ServerName<'static>), String> {
        let is_base = host == self.options.base.host();
        let tls = if is_base { self.options.tls.clone() } else { self.options.tls.for_host(host) };
        let name = tls::server_name(&tls.name).map_err(|error| error.to_string())?;
        let config = tokio::task::spawn_blocking(move || tls.config());
        let config = config.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let mut config = ClientConfig::clone(&config);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok((Arc::new(config), name))
    }
}

async fn tcp(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Service<Uri> for Transport {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move { transport.connect(&uri).await })
    }
}

/// A connection, encrypted or not.
pub(crate) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Stream::Plain(_) => Connected::new(),
            Stream::Tls(stream) => {
                let is_h2 = stream.inner().get_ref().1.alpn_protocol() == Some(b"h2");
                if is_h2 { Connected::new().negotiated_h2() } else { Connected::new() }
            }
        }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_read(context, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        }
    }
}
