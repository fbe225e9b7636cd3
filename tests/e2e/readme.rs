//! The README, typed as it stands: only the ports are others, and the program is the one under test.

use std::path::Path;
use std::process::Command;

use testkit::{Client, Mosquitto, Process, Sluicegate, wait_until};

use crate::{PROGRAM, gate};

/// A fenced block of the README, and the line of text before it.
struct Block {
    language: String,
    text: String,
    before: String,
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks below one headline.
fn blocks(headline: &str) -> Vec<Block> {
    let readme = read("README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with(headline)).expect("a headline");
    let mut parts = section.split("```");
    let (mut blocks, mut before) = (Vec::new(), parts.next().unwrap_or_default());
    while let (Some(block), Some(after)) = (parts.next(), parts.next()) {
        let (language, text) = block.split_once('\n').expect("a block has a first line");
        let before_it = before.trim().rsplit("\n\n").next().unwrap_or_default();
        blocks.push(Block {
            language: language.to_owned(),
            text: text.to_owned(),
            before: before_it.to_owned(),
        });
        before = after;
    }
    blocks
}

/// Somebody at a terminal.
struct Newcomer {
    gate: Sluicegate,
    listening: Vec<Process>,
}

impl Newcomer {
    async fn new() -> Self {
        let samples = ["hot-reading.sql", "hot-reading.test.toml", "last-state.sql", "last-state.test.toml"];
        let gate = samples
            .iter()
            .fold(gate(), |gate, name| gate.file(name, &read(&format!("rules/{name}"))))
            .start()
            .await;
        Self { gate, listening: Vec::new() }
    }

    /// Types every line of a block.
    async fn types(&mut self, block: &Block) {
        for line in block.text.lines() {
            let line = line.split(" # ").next().unwrap_or(line).trim_end().trim_end_matches(" &");
            let port = format!(" -p {}", self.gate.mqtt().port());
            match line.split(' ').next().unwrap_or_default() {
                "mosquitto_sub" => self.listens(&format!("{line}{port}")).await,
                "mosquitto_pub" => self.runs(&format!("{line}{port}")),
                "cargo" => match line.strip_prefix("cargo run --release -- ") {
                    Some(arguments) => self.runs(&format!("{PROGRAM} {arguments}")),
                    None => assert_eq!(line, "cargo run --release"),
                },
                "" => {}
                other => panic!("nobody knows what `{other}` is"),
            }
        }
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.current_dir(self.gate.home()).args(["-c", &format!("exec {line}")]);
        command
    }

    fn runs(&self, line: &str) {
        let output = self.shell(line).output().expect("a shell can be started");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&said));
    }

    async fn listens(&mut self, line: &str) {
        let before = self.subscriptions().await;
        self.listening.push(Process::spawn("mosquitto_sub", &mut self.shell(line)));
        wait_until("it has subscribed", async || self.subscriptions().await > before).await;
    }

    async fn subscriptions(&self) -> u64 {
        let page = self.gate.http().get("/metrics").await.body;
        let value = page.lines().find_map(|line| line.strip_prefix("sluicegate_mqtt_subscriptions "));
        value.and_then(|value| value.parse().ok()).expect("subscriptions are counted")
    }

    /// Waits for a line on some terminal; numbers of more than nine digits are times, and so are others today.
    async fn sees(&self, expected: &str) {
        let masked = |line: &str| {
            let words = line.split_inclusive(|c: char| !c.is_ascii_digit());
            words.map(|word| if word.len() > 9 { "(time)" } else { word }).collect::<String>()
        };
        wait_until(&format!("`{expected}` is seen"), async || {
            let mut lines = self.listening.iter().flat_map(Process::lines);
            lines.any(|line| {
                masked(&line) == masked(expected) || expected.ends_with(' ') && line.starts_with(expected)
            })
        })
        .await;
    }

    /// Saves a block under the name that the text before it gives.
    async fn saves(&self, block: &Block) {
        let name =
            block.before.split('`').find_map(|part| part.strip_prefix("rules/")).expect("a file is named");
        self.gate.write(name, &block.text);
        if let Some(id) = name.strip_suffix(".sql") {
            let path = format!("/api/v5/rules/{id}");
            wait_until("the rule is there", async || self.gate.http().get(&path).await.status == 200).await;
        }
    }
}

#[tokio::test]
async fn a_rule_in_sixty_seconds() {
    let mut newcomer = Newcomer::new().await;
    let blocks = blocks("A rule in sixty seconds");
    let languages: Vec<&str> = blocks.iter().map(|block| block.language.as_str()).collect();
    assert_eq!(languages, ["sh", "sh", "", "sql", "sh", "sh"]);
    for block in &blocks {
        match block.language.as_str() {
            "sh" => newcomer.types(block).await,
            "sql" => newcomer.saves(block).await,
            _ => newcomer.sees(block.text.trim_end()).await,
        }
    }
    newcomer.sees("damp/cellar ").await;
}

#[tokio::test]
async fn a_bridge_to_another_broker() {
    let remote = Mosquitto::start().await;
    let newcomer = Newcomer::new().await;
    for mut block in blocks("A bridge to another broker") {
        block.text = block.text.replace("127.0.0.1:1884", &remote.address().to_string());
        newcomer.saves(&block).await;
    }
    newcomer.gate.wait_status("/connectors/mqtt:cloud", "connected").await;
    let reader = Client::connect(remote.address(), "reader").await;
    reader.subscribe("pub/#", 1).await;
    Client::connect(newcomer.gate.mqtt(), "device").await.publish("temp_hum/emqx", "27", 1).await;
    assert_eq!(reader.next("pub/temp_hum/emqx").await.payload, b"27");
}
