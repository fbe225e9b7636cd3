use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::ports::free_port;
use crate::process::{Process, Signal};
use crate::wait::wait_until;

/// A real mosquitto on a loopback port of its own: the remote of a bridge.
///
/// It logs who connects, subscribes and leaves, so a test can wait for that. It dies with this value.
#[derive(Debug)]
pub struct Mosquitto {
    // Before `home`: the process ends before its folder goes.
    process: Option<Process>,
    home: TempDir,
    port: u16,
    tls: Option<(u16, Certificates)>,
}

/// What a [`Mosquitto`] is to be like.
#[derive(Debug, Clone, Default)]
pub struct MosquittoBuilder {
    users: Vec<(String, String)>,
    tls: bool,
    asks_for_certificate: bool,
    keeps: bool,
    lines: Vec<String>,
}

impl Mosquitto {
    /// Starts one that admits everybody and forgets everything when it ends.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// For one that is to be different.
    pub fn builder() -> MosquittoBuilder {
        MosquittoBuilder::default()
    }

    /// Where it listens for plain MQTT.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where it listens for MQTT over TLS, and the certificate to trust. Only with [`MosquittoBuilder::tls`].
    pub fn tls(&self) -> (SocketAddr, &Path) {
        let (port, certificates) = self.tls.as_ref().expect("this mosquitto was started without TLS");
        ((Ipv4Addr::LOCALHOST, *port).into(), &certificates.ca)
    }

    /// All certificates. Only with [`MosquittoBuilder::tls`].
    pub fn certificates(&self) -> &Certificates {
        &self.tls.as_ref().expect("this mosquitto was started without TLS").1
    }

    /// The running process, for its log.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("this mosquitto is stopped")
    }

    /// Waits until somebody has subscribed to `filter`.
    pub async fn wait_subscribed(&self, filter: &str) {
        // mosquitto logs `TIME: CLIENTID QOS FILTER`.
        self.process().wait_line(&format!(" {filter}")).await;
    }

    /// Ends it, in order: with [`MosquittoBuilder::keeps`], it writes down what it knows.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // More than once: one that has only just begun to listen may still overlook it.
            wait_until("mosquitto ends", async || {
                process.signal(Signal::TERM);
                process.ended().is_some()
            })
            .await;
        }
    }

    /// Starts it again, on the same ports, with what it has kept.
    pub async fn resume(&mut self) {
        assert!(self.process.is_none(), "this mosquitto is running");
        self.process = Some(run(&self.home.path().join("mosquitto.conf"), self.port).await);
    }
}

impl MosquittoBuilder {
    /// Admits only those who know a password.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// Listens for TLS too, with a certificate for `localhost`.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Lets in over TLS only who has a certificate of the same authority.
    #[must_use]
    pub fn asks_for_certificate(mut self) -> Self {
        self.asks_for_certificate = true;
        self
    }

    /// Keeps sessions, queued and retained messages over [`Mosquitto::stop`] and [`Mosquitto::resume`].
    #[must_use]
    pub fn keeps(mut self) -> Self {
        self.keeps = true;
        self
    }

    /// Adds a line to `mosquitto.conf`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Starts it and waits until it accepts connections.
    pub async fn start(self) -> Mosquitto {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let tls = self.tls.then(|| (free_port(), Certificates::write(home.path())));
        let port = free_port();
        let file = home.path().join("mosquitto.conf");
        let text = self.config(home.path(), port, tls.as_ref());
        std::fs::write(&file, text).expect("a temporary file can be written");
        let process = Some(run(&file, port).await);
        Mosquitto { process, home, port, tls }
    }

    fn config(&self, home: &Path, port: u16, tls: Option<&(u16, Certificates)>) -> String {
        let mut text = String::new();
        // Without this, one that is started by root becomes a user who may not read our folder.
        line(&mut text, "user root");
        line(&mut text, "log_dest stderr");
        for kind in ["error", "warning", "notice", "information", "subscribe", "unsubscribe"] {
            line(&mut text, &format!("log_type {kind}"));
        }
        line(&mut text, "max_queued_messages 0");
        line(&mut text, &format!("persistence {}", self.keeps));
        line(&mut text, &format!("persistence_location {}/", home.display()));
        line(&mut text, &format!("allow_anonymous {}", self.users.is_empty()));
        if !self.users.is_empty() {
            line(&mut text, &format!("password_file {}", self.passwords(home).display()));
        }
        line(&mut text, &format!("listener {port} 127.0.0.1"));
        if let Some((port, certificates)) = tls {
            line(&mut text, &format!("listener {port} 127.0.0.1"));
            line(&mut text, &format!("certfile {}", certificates.certificate.display()));
            line(&mut text, &format!("keyfile {}", certificates.key.display()));
            if self.asks_for_certificate {
                line(&mut text, &format!("cafile {}", certificates.ca.display()));
                line(&mut text, "require_certificate true");
            }
        }
        self.lines.iter().for_each(|extra| line(&mut text, extra));
        text
    }

    fn passwords(&self, home: &Path) -> PathBuf {
        let file = home.join("passwords");
        std::fs::write(&file, "").expect("a temporary file can be written");
        for (name, password) in &self.users {
            let status =
                Command::new("mosquitto_passwd").arg("-b").arg(&file).args([name, password]).status();
            assert!(status.is_ok_and(|status| status.success()), "mosquitto_passwd failed");
        }
        file
    }
}

async fn run(config: &Path, port: u16) -> Process {
    // Debian puts it where only root looks for programs.
    let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
    let mut process = Process::spawn("mosquitto", Command::new(program).arg("-c").arg(config));
    wait_until("mosquitto accepts connections", async || {
        assert!(process.ended().is_none(), "mosquitto ended at once");
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    })
    .await;
    process
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes everything");
}
