//! What an HTTP action puts into its queue: one request, in a form that outlives the process and the release.
//!
//! ```text
//! version 1 · method: u8 · target: u32 and bytes · headers: u16, then each name: u16 and bytes, value: u16 and bytes
//! · body: the rest
//! ```

use hyper::Method;

/// A request that waits to be sent, borrowing from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Path and query, to be appended to the connector's `url`.
    pub(crate) target: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a [u8])>,
    pub(crate) body: &'a [u8],
    /// How long everything before the body is: requests that agree in it can share a batch.
    pub(crate) head_bytes: usize,
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

impl<'a> Request<'a> {
    /// Reads a request; `None` for bytes that are none.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let [VERSION, method] = *rest.take(2)? else { return None };
        let method = METHODS.get(usize::from(method))?.clone();
        let length = u32::from_be_bytes(rest.take(4)?.try_into().ok()?);
        let target = std::str::from_utf8(rest.take(usize::try_from(length).ok()?)?).ok()?;
        let count = rest.u16()?;
        let mut headers = Vec::with_capacity(usize::from(count).min(64));
        for _ in 0..count {
            let name = rest.sized()?;
            headers.push((std::str::from_utf8(name).ok()?, rest.sized()?));
        }
        let head_bytes = bytes.len() - rest.0.len();
        Some(Self { method, target, headers, body: rest.0, head_bytes })
    }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

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
            let head_bytes = out.len();
            out.extend_from_slice(&body);
            let read = Request::read(&out).unwrap();
            assert_eq!((&read.method, read.target, read.body), (&METHODS[method], &*target, &*body));
            assert_eq!(read.head_bytes, head_bytes);
            let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(read.headers, headers);
        }

        #[test]
        fn reads_anything_without_a_panic(bytes: Vec<u8>) {
            let _ = Request::read(&bytes);
        }
    }
}
