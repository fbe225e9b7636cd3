//! Servers that are ready for a job, with whom they need beside them.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Mosquitto, Process, Sluicegate, SluicegateBuilder, free_port, wait_until};

use crate::load::warm_up;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Sluicegate,
    Mosquitto,
    /// Only as a broker.
    Rumqttd,
}

/// What messages go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Publisher to subscriber on one server.
    Local,
    /// Published here, subscribed at a remote.
    Out(Far),
    /// Published at a remote, subscribed here.
    In(Far),
}

/// The remote of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    Mosquitto,
    Sluicegate,
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) sluicegate: PathBuf,
    /// Only where it was asked for.
    pub(crate) rumqttd: Option<PathBuf>,
}

/// A server that is ready for a job.
pub(crate) struct Server {
    pub(crate) publish_at: SocketAddr,
    pub(crate) subscribe_at: SocketAddr,
    /// Whose CPU counts: the server under test, not the remote.
    pub(crate) pid: u32,
    /// Who must live as long.
    _members: Vec<Member>,
}

/// A process of a set-up, for as long as it is kept.
#[expect(dead_code, reason = "kept for what they do when they are dropped")]
pub(crate) enum Member {
    Sluicegate(Sluicegate),
    Mosquitto(Mosquitto),
    Rumqttd(Process, tempfile::TempDir),
}

impl Peer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Peer::Sluicegate => "sluicegate",
            Peer::Mosquitto => "mosquitto",
            Peer::Rumqttd => "rumqttd",
        }
    }
}

/// What every bridging rule of ours does: it reads, compares, and lets every message of the load pass.
const RULE: &str =
    "SELECT payload.temp AS t, clientid, topic, qos, payload FROM \"load/#\" WHERE payload.temp > 25";

/// An action that sends messages as they are to the connector `remote`; `options` are further lines of its table.
pub(crate) fn out_action(options: &str) -> String {
    format!(
        "[actions.mqtt.out]\nconnector = \"remote\"\n\
         parameters = {{ topic = \"${{topic}}\", qos = \"${{qos}}\", payload = \"${{payload}}\" }}\n{options}\n"
    )
}

/// The rule that feeds it.
pub(crate) fn out_rule() -> String {
    format!("--- actions = [\"mqtt:out\"]\n{RULE}\n")
}

/// A connector to `remote`.
pub(crate) fn connector(remote: SocketAddr) -> String {
    format!("[connectors.mqtt.remote]\nserver = \"{remote}\"\nproto_ver = \"v4\"\n")
}

impl Server {
    /// Starts what the job needs, and waits until messages go all the way. `None` where this server has no such thing.
    pub(crate) async fn start(peer: Peer, way: Way, programs: &Programs) -> Option<Self> {
        let server = match peer {
            Peer::Sluicegate => Self::ours(way, programs, "").await,
            Peer::Mosquitto => Self::mosquitto(way, programs).await,
            Peer::Rumqttd => {
                let program = programs.rumqttd.as_ref().filter(|_| way == Way::Local)?;
                Self::rumqttd(program).await
            }
        };
        Some(server)
    }

    /// Ours; `options` are further lines of the action.
    pub(crate) async fn ours(way: Way, programs: &Programs, options: &str) -> Self {
        let gate = Sluicegate::builder(&programs.sluicegate);
        match way {
            Way::Local => Self::with_rules(gate).await,
            Way::Out(far) => {
                let (there, remote) = remote(far, programs).await;
                let gate = gate
                    .file("out.toml", &format!("{}{}", connector(there), out_action(options)))
                    .rule("out", &out_rule())
                    .start()
                    .await;
                gate.wait_status("/connectors/mqtt:remote", "connected").await;
                let (at, pid) = (gate.mqtt(), gate.process().id());
                Self::ready(at, there, pid, vec![Member::Sluicegate(gate), remote]).await
            }
            Way::In(far) => {
                let (there, remote) = remote(far, programs).await;
                let source = "[sources.mqtt.in]\nconnector = \"remote\"\nparameters = { topic = \"load/#\", qos = 1 }\n";
                let rule = format!(
                    "--- actions = [{{ function = \"republish\", args = {{ topic = \"in/${{topic}}\", qos = 1, payload = \
                     \"${{payload}}\" }} }}]\n{}\n",
                    RULE.replace("load/#", "$bridges/mqtt:in").replace("clientid, ", "")
                );
                let gate = gate.file("in.toml", &format!("{}{source}", connector(there)));
                let gate = gate.rule("in", &rule).start().await;
                let (at, pid) = (gate.mqtt(), gate.process().id());
                Self::ready(there, at, pid, vec![Member::Sluicegate(gate), remote]).await
            }
        }
    }

    /// Ours with these rules, for messages that go from publisher to subscriber.
    pub(crate) async fn with_rules(builder: SluicegateBuilder) -> Self {
        let gate = builder.start().await;
        let (at, pid) = (gate.mqtt(), gate.process().id());
        Self::ready(at, at, pid, vec![Member::Sluicegate(gate)]).await
    }

    /// mosquitto, with its own bridge where there is a remote.
    async fn mosquitto(way: Way, programs: &Programs) -> Self {
        let builder = mosquitto();
        let (far, direction) = match way {
            Way::Local => {
                let server = builder.start().await;
                let (at, pid) = (server.address(), server.process().id());
                return Self::ready(at, at, pid, vec![Member::Mosquitto(server)]).await;
            }
            Way::Out(far) => (far, "out"),
            Way::In(far) => (far, "in"),
        };
        let (there, remote) = remote(far, programs).await;
        let server = builder
            .line("connection bridge")
            .line(&format!("address {there}"))
            .line("bridge_protocol_version mqttv311")
            .line("notifications false")
            .line("try_private false")
            .line(&format!("topic load/# {direction} 1"))
            .start()
            .await;
        let (here, pid) = (server.address(), server.process().id());
        let (publish_at, subscribe_at) = if direction == "out" { (here, there) } else { (there, here) };
        Self::ready(publish_at, subscribe_at, pid, vec![Member::Mosquitto(server), remote]).await
    }

    async fn rumqttd(program: &Path) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let (port, console) = (free_port(), free_port());
        let file = home.path().join("rumqttd.toml");
        // Its own sample, with room for what one publisher has on its way.
        let config = format!(
            "id = 0\n[router]\nid = 0\nmax_connections = 20000\nmax_outgoing_packet_count = 200\n\
             max_segment_size = 104857600\nmax_segment_count = 10\n\
             [v4.1]\nname = \"v4-1\"\nlisten = \"127.0.0.1:{port}\"\nnext_connection_delay_ms = 1\n\
             [v4.1.connections]\nconnection_timeout_ms = 60000\nmax_payload_size = 20480\n\
             max_inflight_count = 1000\ndynamic_filters = true\n\
             [console]\nlisten = \"127.0.0.1:{console}\"\n"
        );
        std::fs::write(&file, config).expect("a temporary file can be written");
        let mut process = Process::spawn("rumqttd", Command::new(program).arg("-c").arg(&file));
        wait_until("rumqttd accepts connections", async || {
            assert!(process.ended().is_none(), "rumqttd ended at once");
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })
        .await;
        let (at, pid) = (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), process.id());
        Self::ready(at, at, pid, vec![Member::Rumqttd(process, home)]).await
    }

    async fn ready(publish_at: SocketAddr, subscribe_at: SocketAddr, pid: u32, members: Vec<Member>) -> Self {
        warm_up(publish_at, subscribe_at).await;
        Self { publish_at, subscribe_at, pid, _members: members }
    }
}

/// Debian's, as every job has it.
pub(crate) fn mosquitto() -> testkit::MosquittoBuilder {
    Mosquitto::builder().line("max_inflight_messages 1000")
}

/// A remote, and where it is.
pub(crate) async fn remote(far: Far, programs: &Programs) -> (SocketAddr, Member) {
    match far {
        Far::Mosquitto => {
            let remote = mosquitto().start().await;
            (remote.address(), Member::Mosquitto(remote))
        }
        Far::Sluicegate => {
            let remote = Sluicegate::builder(&programs.sluicegate).start().await;
            (remote.mqtt(), Member::Sluicegate(remote))
        }
    }
}
