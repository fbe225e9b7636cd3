//! What an HTTP action puts into its queue: one request, in a form that outlives the process and the release.
//!
//! ```text
//! version 1 · method: u8 · target: u32 and bytes · headers: u16, then each name: u16 and bytes, value: u16 and bytes
//! · body: the rest
//! ```

use std::ops::Range;

use bytes::Bytes;
use hyper::Method;

/// Everything of a request but its body.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// As they were written, without the body.
    bytes: Bytes,
    target: Range<usize>,
    headers: Vec<(Range<usize>, Range<usize>)>,
}

/// What travels as one: requests that agree in their heads.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// `None` for bytes that are no request: they are alone.
    pub(crate) head: Option<Head>,
    pub(crate) bodies: Vec<Bytes>,
}

impl Content {
    /// Adds a request if it agrees with those that are there. Returns whether it does.
    pub(crate) fn add(&mut self, request: &Bytes) -> bool {
        if self.bodies.is_empty() {
            self.head = Head::read(request);
        } else if !self.head.as_ref().is_some_and(|head| request.starts_with(&head.bytes)) {
            // A head says how long it is: what begins with the same bytes has the same head.
            return false;
        }
        let head_bytes = self.head.as_ref().map_or(0, |head| head.bytes.len());
        self.bodies.push(request.slice(head_bytes..));
        true
    }
}

const VERSION: u8 = 1;

/// The methods by their numbers in the format.
const METHODS: [Method; 5] = [Method::POST, Method::PUT, Method::PATCH, Method::GET, Method::DELETE];

/// Begins a request; the target follows, then [`end_target`].
pub(crate) fn begin(out: &mut Vec<u8>, method: &Method) {
    let number = METHODS.iter().position(|other| other == method).unwrap_or(0);
    out.extend_from_slice(&[VERSION, number as u8, 0, 0, 0, 0]);
}

/// Writes how long the target has become that was appended since [`begin`], at `start`, and how many headers follow.
pub(crate) fn end_target(out: &mut Vec<u8>, start: usize, headers: usize) {
    let length = (out.len() - start - 6) as u32;
    out[start + 2..start + 6].copy_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&(headers as u16).to_be_bytes());
}

/// Begins a header; its value follows, then [`end_header`] with what this returns.
pub(crate) fn begin_header(out: &mut Vec<u8>, name: &str) -> usize {
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&[0, 0]);
    out.len()
}

/// Writes how long the value of a header has become. It has [`HEADER_BYTES_MAX`] bytes at most.
pub(crate) fn end_header(out: &mut [u8], start: usize) {
    let length = (out.len() - start) as u16;
    out[start - 2..start].copy_from_slice(&length.to_be_bytes());
}

/// The longest value of a header (bytes).
pub(crate) const HEADER_BYTES_MAX: usize = u16::MAX as usize;

impl Head {
    /// Reads the head of a request, behind which is its body; `None` for bytes that are no request.
    pub(crate) fn read(request: &Bytes) -> Option<Self> {
        let mut cursor = Cursor { bytes: request, at: 0 };
        let [VERSION, method] = cursor.array()? else { return None };
        let method = METHODS.get(usize::from(method))?.clone();
        let length = usize::try_from(u32::from_be_bytes(cursor.array()?)).ok()?;
        let target = cursor.text(length)?;
        let count = u16::from_be_bytes(cursor.array()?);
        let mut headers = Vec::with_capacity(usize::from(count).min(64));
        for _ in 0..count {
            let length = cursor.length()?;
            let name = cursor.text(length)?;
            let length = cursor.length()?;
            headers.push((name, cursor.take(length)?));
        }
        Some(Self { method, bytes: request.slice(..cursor.at), target, headers })
    }

    /// Path and query, to be appended to the connector's `url`.
    pub(crate) fn target(&self) -> &str {
        self.text(&self.target)
    }

    /// Names and values, in their order.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (self.text(name), &self.bytes[value.clone()]))
    }

    /// Checked when it was read.
    fn text(&self, range: &Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes[range.clone()]).unwrap_or_default()
    }
}

/// How far a request is read.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take(&mut self, count: usize) -> Option<Range<usize>> {
        let taken = self.at..self.at.checked_add(count)?;
        self.bytes.get(taken.clone())?;
        self.at = taken.end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.take(N)?;
        self.bytes[taken].try_into().ok()
    }

    fn length(&mut self) -> Option<usize> {
        self.array().map(u16::from_be_bytes).map(usize::from)
    }

    fn text(&mut self, count: usize) -> Option<Range<usize>> {
        let taken = self.take(count)?;
        std::str::from_utf8(&self.bytes[taken.clone()]).ok()?;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    proptest! {
        #[test]
        fn goes_round(
            method in 0usize..METHODS.len(),
            target in "[a-zä/?=&]{0,40}",
            headers in proptest::collection::vec(("[a-z-]{1,9}", any::<Vec<u8>>()), 0..4),
            body in any::<Vec<u8>>(),
        ) {
            let mut out = Vec::new();
            begin(&mut out, &METHODS[method]);
            out.extend_from_slice(target.as_bytes());
            end_target(&mut out, 0, headers.len());
            for (name, value) in &headers {
                let start = begin_header(&mut out, name);
                out.extend_from_slice(value);
                end_header(&mut out, start);
            }
            let same = Bytes::from([&out[..], b"another"].concat());
            out.extend_from_slice(&body);
            let mut content = Content::default();
            assert!(content.add(&out.clone().into()) && content.add(&same));
            assert_eq!(content.bodies, [&*body, b"another"]);
            let head = content.head.as_ref().unwrap();
            assert_eq!((&head.method, head.target()), (&METHODS[method], &*target));
            let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(head.headers().collect::<Vec<_>>(), headers);
            out[1] = (out[1] + 1) % METHODS.len() as u8;
            assert!(!content.add(&out.into()), "another method");
        }

        #[test]
        fn reads_anything_without_a_panic(bytes: Vec<u8>, mut request: Vec<u8>, at: prop::sample::Index, byte: u8) {
            let mut content = Content::default();
            let no_request = Head::read(&bytes.clone().into()).is_none();
            assert!(content.add(&bytes.clone().into()));
            assert!(!no_request || !content.add(&bytes.into()), "what is no request is alone");
            request.splice(0..0, [VERSION, 0, 0, 0, 0, 1, b'/', 0, 1, 0, 1, b'n', 0, 1, b'v']);
            let at = at.index(request.len());
            request[at] = byte;
            let _ = Head::read(&request.into());
        }
    }
}
