use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client for the server's HTTP interface: one plain request on one connection, nothing more.
#[derive(Debug, Clone)]
pub struct Http {
    address: SocketAddr,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The request, for reports.
    request: String,
    /// The status code.
    pub status: u16,
    /// The header lines, without the status line.
    pub headers: String,
    /// The body, which must be text.
    pub body: String,
}

impl Http {
    /// Talks to the server at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where it talks to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body.to_string())).await
    }

    /// `PUT path` with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, Some(body.to_string())).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).await
    }

    /// Any request; a body goes as JSON. Panics when there is no answer at all.
    pub async fn send(&self, method: &str, path: &str, body: Option<String>) -> Answer {
        self.ask(None, method, path, body).await
    }

    /// Any request with an API key, `key:secret`.
    pub async fn send_as(&self, key: &str, method: &str, path: &str, body: Option<String>) -> Answer {
        self.ask(Some(key), method, path, body).await
    }

    async fn ask(&self, key: Option<&str>, method: &str, path: &str, body: Option<String>) -> Answer {
        let request = format!("{method} {path} {}", body.as_deref().unwrap_or_default());
        match tokio::time::timeout(crate::PATIENCE, self.exchange(key, method, path, body)).await {
            Ok(Ok(raw)) => Answer::parse(request, &raw),
            Ok(Err(error)) => panic!("no answer to {request}: {error}"),
            Err(_) => panic!("no answer to {request} in {:?}", crate::PATIENCE),
        }
    }

    async fn exchange(
        &self,
        key: Option<&str>,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> std::io::Result<Vec<u8>> {
        let body = body.unwrap_or_default();
        let key = key.map(|key| format!("Authorization: Basic {}\r\n", STANDARD.encode(key)));
        // HTTP/1.0: the answer ends with the connection and is never chunked.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n",
            self.address,
            body.len(),
            key.unwrap_or_default()
        );
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).await?;
        Ok(raw)
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in the answer to {self}"))
    }

    /// The value at a JSON pointer of the body, such as `/metrics/matched`.
    pub fn at(&self, pointer: &str) -> Value {
        self.json()
            .pointer(pointer)
            .cloned()
            .unwrap_or_else(|| panic!("no `{pointer}` in the answer to {self}"))
    }

    /// Panics unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "in the answer to {self}");
        self
    }

    fn parse(request: String, raw: &[u8]) -> Self {
        let raw = std::str::from_utf8(raw).unwrap_or_else(|_| panic!("{request} was answered with bytes"));
        let (head, body) = raw.split_once("\r\n\r\n").unwrap_or((raw, ""));
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{request} was answered with `{raw}`"));
        Self { request, status, headers: headers.to_owned(), body: body.to_owned() }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}\n  → {} {}", self.request, self.status, self.body)
    }
}
