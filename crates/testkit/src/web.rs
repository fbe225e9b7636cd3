use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::wait::wait_for;

/// An HTTP server that writes down what is sent to it, and answers as it was told: the far side of a webhook.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The request line without the version: `POST /path`.
    pub line: String,
    /// The header lines, in lower case.
    pub headers: String,
    /// The body, which must be text.
    pub body: String,
}

#[derive(Debug, Default)]
struct Script {
    sent: Vec<Sent>,
    answers: VecDeque<u16>,
}

impl Web {
    /// Starts one that answers `200` to everything.
    pub async fn start() -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback can be listened on");
        let address = listener.local_addr().expect("a listener has an address");
        let script = Arc::new(Mutex::new(Script::default()));
        let task = tokio::spawn(listen(listener, Arc::clone(&script)));
        Self { address, script, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the next requests with these statuses, and then `200` again.
    pub fn answer(&self, statuses: impl IntoIterator<Item = u16>) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).answers.extend(statuses);
    }

    /// Answers `200` from now on, whatever it was told before.
    pub fn answer_well(&self) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).answers.clear();
    }

    /// What has come so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).sent.clone()
    }

    /// Waits until so many requests have come.
    pub async fn wait_sent(&self, count: usize) -> Vec<Sent> {
        wait_for(&format!("{count} HTTP requests have come"), async || {
            let sent = self.sent();
            if sent.len() >= count { Ok(sent) } else { Err(format!("{sent:#?}")) }
        })
        .await
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, script: Arc<Mutex<Script>>) {
    // Ends all connections with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        connections.spawn(async move {
            // The other side may leave in the middle of a request: then it has not come.
            let _ = serve(stream, &script).await;
        });
    }
}

/// Answers the requests of one connection, one after the other.
async fn serve(stream: TcpStream, script: &Mutex<Script>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut headers = String::new();
        while stream.read_line(&mut headers).await? > 2 {}
        let headers = headers.trim_end().to_ascii_lowercase();
        let length = headers.lines().find_map(|header| header.strip_prefix("content-length:"));
        let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let line = line.rsplit_once(' ').map_or(&*line, |(line, _)| line).to_owned();
        let status = {
            let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
            script.sent.push(Sent { line, headers, body });
            script.answers.pop_front().unwrap_or(200)
        };
        let answer = format!("HTTP/1.1 {status} so\r\ncontent-length: 2\r\n\r\nok");
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
}
