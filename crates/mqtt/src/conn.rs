use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Input, Output, Stream, Version};

/// A connection: packets that came, packets that are to go, and the stream between them and the peer.
#[derive(Debug)]
pub struct Conn {
    /// What has come.
    pub input: Input,
    /// What is to go.
    pub output: Output,
    stream: Stream,
    /// Whether the stream itself still holds bytes back (TLS records).
    unflushed: bool,
    /// From how many bytes on the system tells of what has come.
    told_from: u32,
}

/// Whether a turn may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Read what comes.
    Wanted,
    /// Leave it in the socket: how a receiver that is full pushes back.
    Paused,
}

/// What a turn has moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Bytes that came.
    pub read_bytes: usize,
    /// Bytes that went.
    pub written_bytes: usize,
    /// The peer sends nothing more.
    pub closed: bool,
}

impl Conn {
    /// The side that takes connections; the version is learned from CONNECT, and
    /// [`Output::set_version`] is the caller's. `packet_bytes_max` bounds what the peer may send.
    pub fn server(stream: Stream, packet_bytes_max: u32) -> Self {
        Self::new(stream, Input::new(None, packet_bytes_max), Output::new(Version::V311))
    }

    /// The side that connects. `packet_bytes_max` bounds what the peer may send.
    pub fn client(stream: Stream, version: Version, packet_bytes_max: u32) -> Self {
        Self::new(stream, Input::new(Some(version), packet_bytes_max), Output::new(version))
    }

    fn new(stream: Stream, input: Input, output: Output) -> Self {
        Self { input, output, stream, unflushed: false, told_from: 1 }
    }

    /// Writes what is pending and reads what has come, as far as the stream allows; waits until at least one of them
    /// has moved something, or the peer has closed. With `Reading::Paused` and nothing pending it waits for ever.
    ///
    /// One read into the buffer a turn: take all packets with [`Input::next`] before the next, until there is none, so that
    /// the buffer goes back to its thread. Cancel-safe.
    pub async fn turn(&mut self, reading: Reading) -> io::Result<Turn> {
        poll_fn(|cx| self.poll_turn(cx, reading)).await
    }

    /// [`Conn::turn`] for those who poll.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>, reading: Reading) -> Poll<io::Result<Turn>> {
        let mut turn = Turn::default();
        if self.output.pending_bytes() > 0 || self.unflushed {
            match self.poll_write_out(cx, &mut turn.written_bytes) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        if reading == Reading::Wanted {
            let mut room = ReadBuf::new(self.input.room());
            match Pin::new(&mut self.stream).poll_read(cx, &mut room) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    turn.read_bytes = room.filled().len();
                    turn.closed = turn.read_bytes == 0;
                    self.input.filled(turn.read_bytes);
                }
                Poll::Pending => self.input.rest(),
            }
        }
        if turn == Turn::default() { Poll::Pending } else { Poll::Ready(Ok(turn)) }
    }

    /// The peer is known: what it may send from the next packet on (bytes, whole packet).
    pub fn trust(&mut self, packet_bytes_max: u32) {
        self.input.set_packet_bytes_max(packet_bytes_max);
        self.stream.trust();
    }

    /// Lets what comes gather: [`Conn::turn`] finds nothing to read until so many bytes are there, or the peer has closed. A
    /// peer that sends many small packets is then heard in a few reads. What is less, the caller has to ask for in time, with
    /// 1, which is how a connection begins. Does nothing where the system cannot.
    pub fn read_from(&mut self, bytes: u32) {
        let bytes = bytes.max(1);
        if self.told_from != bytes && self.stream.set_read_threshold(bytes) {
            self.told_from = bytes;
        }
    }

    /// Asks for what the peer may hold back: many send the second of two small packets only when the first is confirmed
    /// (Nagle's algorithm), which systems do late for what nobody reads. For those who let it gather.
    pub fn confirm(&self) {
        self.stream.confirm();
    }

    /// Writes everything that is pending: for the last words of a connection, under the caller's time limit.
    pub async fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        poll_fn(|cx| self.poll_write_out(cx, &mut written)).await
    }

    /// Writes everything that is pending, closes the sending side, and throws away what still comes until the peer has
    /// closed too: a socket that is dropped with something unread takes the last words back. Under the caller's time
    /// limit.
    pub async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await?;
        let mut thrown = [0; 1024];
        loop {
            let mut room = ReadBuf::new(&mut thrown);
            // Whichever way the peer ends, everything is said.
            let read = poll_fn(|cx| Pin::new(&mut self.stream).poll_read(cx, &mut room)).await;
            if read.is_err() || room.filled().is_empty() {
                return Ok(());
            }
        }
    }

    /// Gives memory back while nothing moves: call it now and then on a connection that is idle.
    pub fn trim(&mut self) {
        self.input.trim();
        self.output.trim();
    }

    /// The address of the other side.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.tcp().peer_addr()
    }

    /// The certificate that the other side has shown in TLS, and that was verified (DER).
    pub fn peer_certificate(&self) -> Option<&rustls::pki_types::CertificateDer<'static>> {
        self.stream.peer_certificate()
    }

    /// The address of this side.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.tcp().local_addr()
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>, written: &mut usize) -> Poll<io::Result<()>> {
        while self.output.pending_bytes() > 0 {
            match Pin::new(&mut self.stream).poll_write(cx, self.output.pending()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    *written += count;
                    self.output.written(count);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.unflushed = false;
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}
