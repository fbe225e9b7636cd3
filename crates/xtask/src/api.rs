//! The OpenAPI document against real answers, by schemathesis: whether every answer has a status, a type and a shape that
//! the document knows, and whether what the document forbids is refused.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cargo::{Cargo, root};
use crate::report::Outcome;

/// Pinned, so that a new version with new checks does not turn an old tree red.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// How long it may generate requests (seconds); the whole step takes about half a minute more.
const SECONDS_MAX: &str = "100";

/// A key, so that refusals without one are tried as well.
const CONFIG: &str = "[http]\napi_keys = [{ key = \"ops\", secret = \"s3cret\" }]\n";

/// Makes the tool, starts the server on free ports, and lets the one loose on the other.
pub(crate) fn check() -> Outcome {
    let program = match tool() {
        Ok(program) => program,
        Err(why) if std::env::var_os("CI").is_none() => {
            println!("{why}: skipped, since this is not CI");
            return Outcome::Skipped;
        }
        Err(why) => {
            println!("{why}");
            return Outcome::Failed;
        }
    };
    if !Cargo::new(&["build", "--locked", "--package", "cli"]).run() {
        return Outcome::Failed;
    }
    match run(&program) {
        Ok(passed) => Outcome::from(passed),
        Err(why) => {
            println!("{why}");
            Outcome::Failed
        }
    }
}

/// Where builds go.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The program, installed below the target folder unless that has been done before.
fn tool() -> Result<PathBuf, String> {
    let folder = target().join(SCHEMATHESIS.replace("==", "-"));
    let program = folder.join("bin/schemathesis");
    let works = |program: &Path| {
        let quiet =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    };
    if works(&program) {
        return Ok(program);
    }
    // What is there is half an installation, or one whose Python has gone.
    let _ = std::fs::remove_dir_all(&folder);
    println!("installing {SCHEMATHESIS} into {}", folder.display());
    let python = Command::new("python3").args(["-m", "venv"]).arg(&folder).status();
    if !python.is_ok_and(|status| status.success()) {
        return Err("python3 cannot make a virtual environment (Debian: python3-venv)".to_owned());
    }
    let pip = Command::new(folder.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS])
        .status();
    if !pip.is_ok_and(|status| status.success()) || !works(&program) {
        return Err(format!("{SCHEMATHESIS} cannot be installed; is there a network?"));
    }
    Ok(program)
}

fn run(program: &Path) -> Result<bool, String> {
    let home = target().join("schemathesis-run");
    let (_server, address) = Server::start(&home)?;
    let status = Command::new(program)
        .current_dir(&home)
        .arg("--config-file")
        .arg(root().join("crates/xtask/schemathesis.toml"))
        .args(["run", &format!("http://{address}/api-docs/openapi.json"), "--auth", "ops:s3cret"])
        .args(["--phases", "examples,coverage,fuzzing,stateful", "--seed", "1", "--max-examples", "5"])
        .args(["--max-time", SECONDS_MAX, "--workers", "1", "--warnings", "off", "--request-timeout", "35"])
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("schemathesis does not start: {error}"))?;
    Ok(status.success())
}

/// The server, which ends with this value.
struct Server(Child);

impl Server {
    /// Starts it in an empty folder; returns where it listens for HTTP.
    fn start(home: &Path) -> Result<(Self, String), String> {
        let prepare = || {
            let _ = std::fs::remove_dir_all(home);
            std::fs::create_dir_all(home.join("rules"))?;
            std::fs::write(home.join("sluicegate.toml"), CONFIG)
        };
        prepare().map_err(|error| format!("{}: {error}", home.display()))?;
        let program = target().join("debug/sluicegate");
        let mut child = Command::new(&program)
            .current_dir(home)
            .args(["run", "--mqtt-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let stderr = child.stderr.take().ok_or("the server has no standard error")?;
        let server = Self(child);
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // Read to its end, or the server would block on a full pipe.
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening http ") {
                    let _ = told.send(address.trim().to_owned());
                }
            }
        });
        let address = heard.recv_timeout(Duration::from_secs(30));
        Ok((server, address.map_err(|_| "the server does not say where it listens")?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is seen in its answers.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
