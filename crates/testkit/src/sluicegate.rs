use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use tempfile::TempDir;

use crate::http::Http;
use crate::process::{Process, Signal};
use crate::wait::{wait_for, wait_until};

/// The real server: its own folders, free ports, a log that is kept, and an end with this value.
#[derive(Debug)]
pub struct Sluicegate {
    // Before `home`: the process ends before its folder goes.
    process: Option<Process>,
    home: TempDir,
    builder: SluicegateBuilder,
    mqtt: SocketAddr,
    http: Http,
}

/// What a [`Sluicegate`] is to be started with.
#[derive(Debug, Clone)]
pub struct SluicegateBuilder {
    program: PathBuf,
    files: Vec<(String, String)>,
    config: Option<String>,
    args: Vec<String>,
    variables: Vec<(String, String)>,
    names: Option<String>,
    embedded: bool,
}

impl Sluicegate {
    /// For the binary at `program`: in the end-to-end tests `env!("CARGO_BIN_EXE_sluicegate")`.
    pub fn builder(program: impl Into<PathBuf>) -> SluicegateBuilder {
        SluicegateBuilder {
            program: program.into(),
            files: Vec::new(),
            config: None,
            args: Vec::new(),
            variables: Vec::new(),
            names: None,
            embedded: true,
        }
    }

    /// Where its broker listens.
    pub fn mqtt(&self) -> SocketAddr {
        assert!(self.builder.embedded, "this server has no broker of its own");
        self.mqtt
    }

    /// Where the listener of this name is.
    pub async fn listener(&self, name: &str) -> SocketAddr {
        let process = self.process();
        wait_for(&format!("the server says that `{name}` is listening"), async || {
            process.lines().iter().find_map(|line| address(line, name)).ok_or_else(String::new)
        })
        .await
    }

    /// A client of its HTTP interface.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The running process, for its log and signals.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("this server is stopped")
    }

    /// The folder that holds `rules` and `data`.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file into the rules folder as a deployment does: at once, under its final name.
    pub fn write(&self, name: &str, text: &str) {
        write(self.home.path(), name, text);
    }

    /// Removes a file from the rules folder.
    pub fn remove(&self, name: &str) {
        let path = self.home.path().join("rules").join(name);
        std::fs::remove_file(&path)
            .unwrap_or_else(|error| panic!("cannot remove {}: {error}", path.display()));
    }

    /// Waits until the connector, action or source at `path`, as in `/connectors/mqtt:cloud`, has this status.
    pub async fn wait_status(&self, path: &str, status: &str) {
        let path = format!("/api/v5{path}");
        wait_for(&format!("{path} is {status}"), async || {
            let answer = self.http.get(&path).await;
            let found = answer.status == 200 && answer.json()["status"] == status;
            found.then_some(()).ok_or_else(|| answer.to_string())
        })
        .await;
    }

    /// Waits until `metric`, as in `matched`, of what is at `path`, as in `/rules/r1`, is `value`.
    pub async fn wait_metric(&self, path: &str, metric: &str, value: u64) {
        let path = format!("/api/v5{path}/metrics");
        wait_for(&format!("`{metric}` is {value}"), async || {
            let answer = self.http.get(&path).await;
            let found = answer.status == 200 && answer.json()["metrics"][metric] == value;
            found.then_some(()).ok_or_else(|| answer.to_string())
        })
        .await;
    }

    /// Waits until `metric` of what is at `path` is `value` or more.
    pub async fn wait_metric_at_least(&self, path: &str, metric: &str, value: u64) {
        let path = format!("/api/v5{path}/metrics");
        wait_for(&format!("`{metric}` is at least {value}"), async || {
            let answer = self.http.get(&path).await;
            let found = answer.status == 200
                && answer.json()["metrics"][metric].as_u64().is_some_and(|found| found >= value);
            found.then_some(()).ok_or_else(|| answer.to_string())
        })
        .await;
    }

    /// Replaces what it finds in `/etc/hosts`.
    pub fn set_names(&self, hosts: &str) {
        assert!(self.builder.names.is_some(), "this server has no names of its own");
        // In place, since it is this very file that is seen there.
        std::fs::write(self.home.path().join("hosts"), hosts).expect("a temporary file can be written");
    }

    /// Ends it with SIGTERM and tells how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("this server is stopped");
        process.signal(Signal::TERM);
        process.wait().await
    }

    /// Ends it as a power cut does.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().expect("this server is stopped");
        process.signal(Signal::KILL);
        process.wait().await;
    }

    /// Starts it again in the same folders. Its ports are new ones.
    pub async fn resume(&mut self) {
        assert!(self.process.is_none(), "this server is running");
        let (process, mqtt, http) = run(&self.builder, self.home.path()).await;
        (self.process, self.mqtt, self.http) = (Some(process), mqtt, http);
    }
}

impl SluicegateBuilder {
    /// Puts `ID.sql` into the rules folder.
    #[must_use]
    pub fn rule(self, id: &str, text: &str) -> Self {
        self.file(&format!("{id}.sql"), text)
    }

    /// Puts a file into the rules folder.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Starts it with this `sluicegate.toml`.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// Adds an argument to `sluicegate run`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives it names of its own: this `/etc/hosts`, which [`Sluicegate::set_names`] replaces. Only where `unshare` may give
    /// it files of its own, which containers often forbid.
    #[must_use]
    pub fn names(mut self, hosts: &str) -> Self {
        self.names = Some(hosts.to_owned());
        self
    }

    /// Starts it on local topics of another broker: the `sluicegate.toml` says which.
    #[must_use]
    pub fn without_broker(mut self) -> Self {
        self.embedded = false;
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Sluicegate {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(home.path().join("rules")).expect("a temporary folder can be made");
        for (name, text) in &self.files {
            write(home.path(), name, text);
        }
        if let Some(hosts) = &self.names {
            std::fs::write(home.path().join("hosts"), hosts).expect("a temporary file can be written");
        }
        if let Some(text) = &self.config {
            std::fs::write(home.path().join("sluicegate.toml"), text)
                .expect("a temporary file can be written");
        }
        let (process, mqtt, http) = run(&self, home.path()).await;
        Sluicegate { process: Some(process), home, builder: self, mqtt, http }
    }
}

async fn run(builder: &SluicegateBuilder, home: &Path) -> (Process, SocketAddr, Http) {
    let mut command = match &builder.names {
        None => Command::new(&builder.program),
        Some(_) => with_names(&builder.program),
    };
    command.current_dir(home).arg("run").args(["--rules", "rules", "--data", "data"]);
    command.args(["--mqtt-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]).args(&builder.args);
    // Times in answers are compared as text; nothing of the machine's own zone may show.
    command.env("TZ", "UTC").envs(builder.variables.iter().map(|(name, value)| (name, value)));
    let mut process = Process::spawn("sluicegate", &mut command);
    let mqtt = match builder.embedded {
        true => listening(&mut process, "mqtt").await,
        false => SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    let http = Http::new(listening(&mut process, "http").await);
    wait_until("the server is ready", async || http.get("/readyz").await.status == 200).await;
    (process, mqtt, http)
}

/// Runs a program where `hosts` in its folder is its `/etc/hosts`. The process is that of the program.
fn with_names(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c"]);
    command.arg("mount --bind hosts /etc/hosts && exec \"$@\"").arg("sh").arg(program);
    command
}

/// The address that the server says it listens on under `name`.
async fn listening(process: &mut Process, name: &str) -> SocketAddr {
    let what = format!("the server says that `{name}` is listening");
    wait_for(&what, async || {
        assert!(process.ended().is_none(), "the server ended before it listened");
        process.lines().iter().find_map(|line| address(line, name)).ok_or_else(String::new)
    })
    .await
}

fn address(line: &str, name: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening ")?;
    let mut words = rest.split_whitespace();
    // In a JSON log, more follows behind a quotation mark.
    (words.next() == Some(name)).then(|| words.next()?.split('"').next()?.parse().ok())?
}

fn write(home: &Path, name: &str, text: &str) {
    let path = home.join("rules").join(name);
    let folder = path.parent().expect("a file of the rules folder has a parent");
    std::fs::create_dir_all(folder).expect("a temporary folder can be made");
    // Names that begin with a dot are none of the server's business.
    let aside = folder.join(".testkit-aside");
    let done = std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, &path));
    done.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_a_log_line() {
        let line = "2026-01-01T00:00:00Z  INFO listening mqtt 127.0.0.1:40001";
        assert_eq!(address(line, "mqtt"), "127.0.0.1:40001".parse().ok());
        assert_eq!(address(line, "http"), None);
        let line = r#"{"message":"listening mqtt 127.0.0.1:40001","target":"server"}"#;
        assert_eq!(address(line, "mqtt"), "127.0.0.1:40001".parse().ok());
        assert_eq!(address("nothing is listening", "mqtt"), None);
    }
}
