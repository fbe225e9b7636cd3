//! How the server starts: addresses, settings from everywhere, limits, and what it must never say.

use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::{Value, json};
use testkit::Sluicegate;

use crate::{PROGRAM, gate};

/// Runs to the end what should not start.
fn refused(args: &[&str], variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let Output { status, stderr, .. } = Command::new(PROGRAM)
        .current_dir(folder.path())
        .arg("run")
        .args(args)
        .envs(variables.iter().copied())
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert!(!status.success(), "{said}");
    said
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    for (what, flag, other) in
        [("mqtt", "--mqtt-listen", "--http-listen"), ("http", "--http-listen", "--mqtt-listen")]
    {
        let said = refused(&[flag, &address, other, "127.0.0.1:0"], &[]);
        let expected = format!("cannot listen on {address} for `{what}`");
        assert!(said.contains(&expected) && said.contains("in use"), "{said}");
    }
}

#[test]
fn an_open_address_without_keys_is_refused_with_a_way_out() {
    let said = refused(&["--http-listen", "0.0.0.0:0", "--mqtt-listen", "127.0.0.1:0"], &[]);
    for part in ["http.listen", "others can reach", "api_keys", "--allow-anonymous"] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
}

#[test]
fn a_variable_that_names_no_setting_is_refused() {
    let said = refused(&[], &[("SLUICEGATE__HTTP__LISTN", "127.0.0.1:0")]);
    assert!(said.contains("SLUICEGATE__HTTP__LISTN") && said.contains("http.listn"), "{said}");
}

#[tokio::test]
async fn the_environment_wins_over_the_file() {
    let gate = gate()
        .config("[node]\nname = \"file@here\"\n[log]\nlevel = \"info\"\n")
        .variable("SLUICEGATE__NODE__NAME", "environment@here")
        .variable("SLUICEGATE__LOG__FORMAT", "json")
        .start()
        .await;
    let status = gate.http().get("/api/v5/status?format=json").await.expect(200);
    assert_eq!(status.at("/node_name"), "environment@here");
    for line in gate.process().lines() {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["timestamp", "level", "message"] {
            assert!(line[key].is_string(), "no `{key}` in {line}");
        }
    }
}

#[tokio::test]
async fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let gate = gate().start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gate.process().id()));
    let limits = limits.expect("the limits of a process can be read");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("there is such a limit");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
    let page = gate.http().get("/metrics").await.expect(200).body;
    let metric = page.lines().find_map(|line| line.strip_prefix("process_max_fds ")).expect("it is a metric");
    assert_eq!(metric, words[3]);
}

/// Everything that an answer or the log could give away, after trying hard.
#[tokio::test]
async fn no_secret_is_ever_shown() {
    const SECRETS: &[&str] = &["s3cret-of-ops", "s3cret-of-file", "s3cret-of-rest", "s3cret-of-env"];
    let connector = "[connectors.mqtt.cloud]\nserver = \"127.0.0.1:1\"\nusername = \"u\"\npassword = \"s3cret-of-file\"\n\
                     [connectors.mqtt.env]\nserver = \"127.0.0.1:1\"\nusername = \"u\"\npassword = { env = \"CLOUD_PASSWORD\" }\n";
    let gate = gate()
        .config("[log]\nlevel = \"trace\"\n")
        .variable(
            "SLUICEGATE__HTTP__API_KEYS",
            "[{ key = 'ops', secret = 's3cret-of-ops', role = 'administrator' }]",
        )
        .variable("CLOUD_PASSWORD", "s3cret-of-env")
        .file("cloud.toml", connector)
        .start()
        .await;
    let mut heard = String::new();
    let mut ask = async |method: &str, path: &str, body: Option<Value>| {
        let answer =
            gate.http().send_as("ops:s3cret-of-ops", method, path, body.map(|body| body.to_string())).await;
        heard.push_str(&answer.headers);
        heard.push_str(&answer.body);
        answer.status
    };
    let rest = json!({"type": "mqtt", "name": "rest", "server": "127.0.0.1:1", "username": "u", "password": "s3cret-of-rest"});
    assert_eq!(ask("POST", "/api/v5/connectors", Some(rest.clone())).await, 201);
    let mut wrong = rest.clone();
    wrong["pool_sise"] = 3.into();
    assert_eq!(ask("POST", "/api/v5/connectors", Some(wrong.clone())).await, 400);
    assert_eq!(ask("POST", "/api/v5/connectors_probe", Some(rest)).await, 400);
    assert_eq!(ask("POST", "/api/v5/connectors_probe", Some(wrong)).await, 400);
    for path in [
        "/api/v5/connectors",
        "/api/v5/connectors/mqtt:cloud",
        "/api/v5/connectors/mqtt:env",
        "/api/v5/connectors/mqtt:rest",
        "/api/v5/actions_summary",
        "/api/v5/rules",
        "/api/v5/nodes",
        "/api/v5/status?format=json",
        "/api-docs/openapi.json",
        "/metrics",
        "/",
    ] {
        assert_eq!(ask("GET", path, None).await, 200, "{path}");
    }
    // A file that is wrong beside its secret is shown in log and answer.
    gate.write("cloud.toml", &format!("{connector}pool_sise = 1\n"));
    gate.process().wait_line("pool_sise").await;
    assert_eq!(ask("POST", "/api/v5/reload", None).await, 200);
    let log = gate.process().lines().join("\n");
    for secret in SECRETS {
        assert!(!heard.contains(secret), "`{secret}` is in an answer:\n{heard}");
        assert!(!log.contains(secret), "`{secret}` is in the log:\n{log}");
    }
}

#[tokio::test]
async fn the_api_describes_itself() {
    let gate: Sluicegate = gate().start().await;
    let document = gate.http().get("/api-docs/openapi.json").await.expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    let connectors = &document["paths"]["/api/v5/connectors"]["post"];
    let kinds = &connectors["requestBody"]["content"]["application/json"]["schema"]["oneOf"];
    for kind in ["mqtt", "http"] {
        let settings = kinds.as_array().into_iter().flatten().map(|schema| &schema["properties"]);
        let settings = settings.into_iter().find(|settings| settings["type"]["const"] == kind);
        assert!(settings.is_some_and(|settings| settings["ssl"].is_object()), "no `{kind}` in {kinds}");
    }
}
