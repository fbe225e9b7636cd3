//! What the end-to-end tests need besides Rust, taken from Debian where it is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Programs, and the Debian packages they come in.
const NEEDED: &[(&str, &str)] =
    &[("mosquitto", "mosquitto"), ("mosquitto_passwd", "mosquitto"), ("mosquitto_pub", "mosquitto-clients")];

/// Installs what is missing. Whether everything is there; if not, it has said what to do.
pub(crate) fn ensure() -> bool {
    let mut packages: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    packages.dedup();
    if !has_paho() {
        packages.push("python3-paho-mqtt");
    }
    if packages.is_empty() {
        println!("mosquitto and Paho are here");
        return true;
    }
    let names = packages.join(" ");
    if !on_path("apt-get") {
        eprintln!(
            "missing: {names}. This is no Debian: install mosquitto, its clients, and Python 3 with paho-mqtt, and try again"
        );
        return false;
    }
    if !is_root() {
        eprintln!("missing: {names}. Run `sudo apt-get install {names}`, and try again");
        return false;
    }
    install(&packages)
}

/// Whether a Python that the tests would take has the Paho client.
fn has_paho() -> bool {
    ["/usr/bin/python3", "python3"].iter().any(|python| {
        let import =
            Command::new(python).args(["-c", "import paho.mqtt.client"]).stderr(Stdio::null()).status();
        import.is_ok_and(|status| status.success())
    })
}

/// Whether a program can be started by its name, or lies where Debian puts servers.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .any(|folder| folder.join(program).is_file())
}

/// Whether a process may be given files of its own.
pub(crate) fn has_namespaces() -> bool {
    let tried = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

fn install(packages: &[&str]) -> bool {
    // Debian starts a server as soon as it is installed, and mosquitto would then sit on port 1883, where a newcomer's
    // `cargo run` wants to listen. Debian asks this file first whether a service may be started.
    let _guard = NoServices::begin(Path::new("/usr/sbin/policy-rc.d"));
    let installed = quietly(&["apt-get", "update", "--quiet"])
        && quietly(
            &[&["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"], packages].concat(),
        );
    if installed && Path::new("/run/systemd/system").exists() {
        // Nor shall it be started with the machine. It is fine if there is no such service.
        quietly(&["systemctl", "disable", "mosquitto"]);
    }
    installed
}

fn quietly(command: &[&str]) -> bool {
    println!("{}", command.join(" "));
    let status = Command::new(command[0])
        .args(&command[1..])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Keeps Debian from starting services as long as it lives, unless the machine has a policy of its own.
struct NoServices<'a> {
    policy: Option<&'a Path>,
}

impl<'a> NoServices<'a> {
    fn begin(policy: &'a Path) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let executable = std::fs::Permissions::from_mode(0o755);
        let written = !policy.exists()
            && std::fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok()
            && std::fs::set_permissions(policy, executable).is_ok();
        Self { policy: written.then_some(policy) }
    }
}

impl Drop for NoServices<'_> {
    fn drop(&mut self) {
        if let Some(policy) = self.policy {
            // Nothing can be done if it is gone already.
            let _ = std::fs::remove_file(policy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_is_there() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-program"));
    }
}
