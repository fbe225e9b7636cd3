//! What may come through a WebSocket from somebody who is not known yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Stream;

/// The stream below a WebSocket. Until its client is known, only so many bytes may come, and a frame that says it is larger
/// is refused at its header: the layer above would make room for all of it at once.
#[derive(Debug)]
pub(crate) struct Below {
    stream: Stream,
    /// What came behind the request for the upgrade.
    early: Bytes,
    allowance: Option<Allowance>,
}

/// What a stranger may still send, and where in its frames the stream is.
#[derive(Debug)]
struct Allowance {
    left: usize,
    header: Header,
    /// What is left of the payload of the frame that has begun.
    payload: usize,
}

/// The header of a frame, as far as it has come (RFC 6455 §5.2).
#[derive(Debug, Default)]
struct Header {
    bytes: [u8; Header::BYTES_MAX],
    len: usize,
}

impl Below {
    /// `bytes_max`: what may come before [`Below::trust`], headers of frames included.
    pub(crate) fn new(stream: Stream, early: Vec<u8>, bytes_max: usize) -> Self {
        let allowance = Allowance { left: bytes_max, header: Header::default(), payload: 0 };
        Self { stream, early: early.into(), allowance: Some(allowance) }
    }

    /// The client is known: anything may come that the WebSocket takes.
    pub(crate) fn trust(&mut self) {
        self.allowance = None;
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    fn poll_source(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let count = self.early.len().min(into.remaining());
        into.put_slice(&self.early[..count]);
        self.early.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl Allowance {
    /// How much may be read in one go: to the end of the header, or of the payload. So what comes behind the frame that makes
    /// somebody known is not judged before.
    fn step(&self) -> usize {
        if self.payload > 0 { self.payload } else { self.header.missing() }
    }

    /// These bytes came, no more than a step.
    fn came(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.payload > 0 {
            self.payload -= bytes.len();
            return Ok(());
        }
        self.header.push(bytes);
        if self.header.missing() > 0 {
            return Ok(());
        }
        let (frame, payload) = self.header.frame();
        self.left = self.left.checked_sub(frame).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "more than may come before CONNECT is accepted")
        })?;
        (self.header, self.payload) = (Header::default(), payload);
        Ok(())
    }
}

impl Header {
    const BYTES_MAX: usize = 14;

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn whole(&self) -> usize {
        let length = match self.bytes[1] & 0x7F {
            _ if self.len < 2 => return 2,
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.bytes[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn missing(&self) -> usize {
        self.whole() - self.len
    }

    /// The bytes of the whole frame and of its payload, once nothing is missing.
    fn frame(&self) -> (usize, usize) {
        let [_, short, rest @ ..] = self.bytes;
        let payload = match short & 0x7F {
            126 => u64::from(u16::from_be_bytes([rest[0], rest[1]])),
            127 => {
                u64::from_be_bytes([rest[0], rest[1], rest[2], rest[3], rest[4], rest[5], rest[6], rest[7]])
            }
            short => short.into(),
        };
        let payload = usize::try_from(payload).unwrap_or(usize::MAX);
        (payload.saturating_add(self.len), payload)
    }
}

impl AsyncRead for Below {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(allowance) = &this.allowance else { return this.poll_source(cx, into) };
        let step = allowance.step().min(into.remaining());
        let mut room = ReadBuf::new(into.initialize_unfilled_to(step));
        ready!(this.poll_source(cx, &mut room))?;
        let count = room.filled().len();
        if let Some(allowance) = &mut this.allowance {
            allowance.came(room.filled())?;
        }
        into.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Below {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(payload: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut bytes = vec![0x82];
        match payload {
            0..126 => bytes.push(mask | u8::try_from(payload).unwrap()),
            126..0x1_0000 => {
                bytes.push(mask | 126);
                bytes.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![7; if is_masked { 4 } else { 0 } + payload]);
        bytes
    }

    proptest! {
        #[test]
        fn frames_count_with_their_headers_whatever_the_pieces(
            payloads in proptest::collection::vec(prop_oneof![0usize..300, 65_530usize..65_540], 1..6),
            is_masked: bool,
            left in 0usize..200_000,
            pieces in proptest::collection::vec(1usize..5_000, 1..9),
        ) {
            let mut allowance = Allowance { left, header: Header::default(), payload: 0 };
            let (mut pieces, mut used, mut refused_at) = (pieces.iter().cycle(), 0, None);
            'frames: for (at, payload) in payloads.iter().enumerate() {
                let bytes = frame(*payload, is_masked);
                used += bytes.len();
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (piece, behind) = rest.split_at(allowance.step().min(*pieces.next().unwrap()).min(rest.len()));
                    if allowance.came(piece).is_err() {
                        prop_assert!(rest.len() >= *payload, "no byte of the payload was needed to tell");
                        refused_at = Some(at);
                        break 'frames;
                    }
                    rest = behind;
                }
                prop_assert_eq!(allowance.left, left - used);
            }
            let mut sum = 0;
            let expected = payloads.iter().position(|payload| {
                sum += frame(*payload, is_masked).len();
                sum > left
            });
            prop_assert_eq!(refused_at, expected);
        }
    }

    #[test]
    fn a_length_beyond_all_measure_is_refused() {
        let mut allowance = Allowance { left: 1 << 20, header: Header::default(), payload: 0 };
        allowance.came(&[0x82, 0xFF]).unwrap();
        assert!(allowance.came(&[0xFF; 12]).is_err());
    }
}
