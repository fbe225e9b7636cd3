//! What fields alone cannot say about connectors and sources.

use std::collections::HashSet;

use config::Settings;
use connector::options;
use diagnostic::{Code, Diagnostic, Span};
use mqtt::Version;
use topic::Subscription;

use crate::server::Server;
use crate::settings::TcpKeepalive;
use crate::{fields, settings};

/// Checks a connector.
pub(crate) fn connector(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    options::check_resource_opts(settings.table("resource_opts"), diagnostics);
    options::without_effect(settings, fields::WITHOUT_EFFECT, diagnostics);
    let tcp = settings.table("tcp_opts");
    options::without_effect(tcp, fields::TCP_WITHOUT_EFFECT, diagnostics);
    if TcpKeepalive::parse(tcp.str("keepalive")).is_err() {
        let message = "`tcp_opts.keepalive` is `none` or `IDLE,INTERVAL,PROBES`, such as `240,30,5`";
        diagnostics.push(Diagnostic::new(Code::InvalidValue, tcp.span("keepalive"), message));
    }
    version(settings, diagnostics);
    login(settings, diagnostics);
    timing(settings, diagnostics);
    static_clientids(settings, diagnostics);
    match Server::parse(settings.str("server"), settings.table("ssl").bool("enable")) {
        Ok(server) => tls(settings, &server, diagnostics),
        Err(error) => {
            let message = format!("`server` is no address: {error}");
            let help = "write `host:port`, `mqtt://host`, `mqtts://host` or `[v6]:port`";
            diagnostics
                .push(Diagnostic::new(Code::InvalidValue, settings.span("server"), message).help(help));
        }
    }
}

/// Checks a source.
pub(crate) fn source(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    options::check_resource_opts(settings.table("resource_opts"), diagnostics);
    let parameters = settings.table("parameters");
    if let Err(error) = Subscription::parse(parameters.str("topic")) {
        let message = format!("`parameters.topic` is no topic filter: {error}");
        diagnostics.push(Diagnostic::new(Code::BadTopicFilter, parameters.span("topic"), message));
    }
    if parameters.int("qos") == 2 {
        let message = "a source receives at QoS 1 at most; `2` is taken as `1`";
        diagnostics.push(Diagnostic::new(Code::IneffectiveSetting, parameters.span("qos"), message));
    }
}

fn version(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    let mut no_effect = |name: &str, why: &str| {
        let message = format!("`{name}` has no effect: {why}");
        diagnostics.push(Diagnostic::new(Code::IneffectiveSetting, settings.key_span(name), message));
    };
    let v5 = settings::version(settings) == Version::V5;
    if v5 && settings.bool("bridge_mode") {
        no_effect("bridge_mode", "MQTT 5 has no such bit");
    }
    if v5 && settings.is_given("retry_interval") {
        no_effect("retry_interval", "MQTT 5 forbids to send again on a live connection");
    }
    if settings.is_given("session_expiry_interval") && (!v5 || settings.bool("clean_start")) {
        no_effect("session_expiry_interval", "it needs `proto_ver = \"v5\"` and `clean_start = false`");
    }
}

fn login(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    let v5 = settings::version(settings) == Version::V5;
    if !v5 && settings.secret("password").is_some() && !settings.is_set("username") {
        let message = "`password` needs a `username` before MQTT 5";
        diagnostics.push(Diagnostic::new(Code::Conflict, settings.key_span("password"), message));
    }
}

fn timing(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    for name in ["connect_timeout", "ping_timeout", "retry_interval"] {
        if settings.duration(name).is_zero() {
            let message = format!("`{name}` must be longer than nothing");
            diagnostics.push(Diagnostic::new(Code::OutOfRange, settings.span(name), message));
        }
    }
    if settings.duration("keepalive").as_secs() > u64::from(u16::MAX) {
        let message = "`keepalive` is at most 65535s";
        diagnostics.push(Diagnostic::new(Code::OutOfRange, settings.span("keepalive"), message));
    }
}

fn static_clientids(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    let (mut nodes, mut ids) = (HashSet::new(), HashSet::new());
    for entry in settings.tables("static_clientids") {
        let mut refuse = |code, span, message: String| diagnostics.push(Diagnostic::new(code, span, message));
        if !nodes.insert(entry.str("node")) {
            let message = format!("the node `{}` stands twice in `static_clientids`", entry.str("node"));
            refuse(Code::Conflict, entry.span("node"), message);
        }
        if entry.tables("ids").is_empty() {
            let message = format!("the node `{}` has no client id", entry.str("node"));
            refuse(Code::InvalidValue, entry.span("ids"), message);
        }
        for id in entry.tables("ids") {
            let clientid = id.str("clientid");
            if clientid.is_empty() {
                refuse(
                    Code::InvalidValue,
                    id.span("clientid"),
                    "a client id has at least one character".to_owned(),
                );
            } else if !ids.insert(clientid) {
                let message = format!("the client id `{clientid}` stands twice in `static_clientids`");
                refuse(Code::Conflict, id.span("clientid"), message);
            }
        }
    }
    for name in ["pool_size", "clientid_prefix"] {
        if !nodes.is_empty() && settings.is_given(name) {
            let message = format!("`{name}` has no effect beside `static_clientids`");
            diagnostics.push(Diagnostic::new(Code::IneffectiveSetting, settings.key_span(name), message));
        }
    }
}

/// The static client ids: a remote lets each be connected once.
pub(crate) fn claims(settings: &Settings) -> Vec<(String, Span)> {
    let Some(server) = settings::server(settings) else { return Vec::new() };
    let ids = settings.tables("static_clientids").iter().flat_map(|entry| entry.tables("ids"));
    let claim = |id: &Settings| {
        (format!("the client id `{}` at `{server}`", id.str("clientid")), id.span("clientid"))
    };
    ids.map(claim).collect()
}

fn tls(settings: &Settings, server: &Server, diagnostics: &mut Vec<Diagnostic>) {
    let ssl = settings.table("ssl");
    if !settings::uses_tls(settings, server) {
        return;
    }
    if server.tls == Some(false) {
        let message = "`server` says `mqtt://` and `ssl.enable` says TLS";
        diagnostics.push(Diagnostic::new(Code::Conflict, settings.span("server"), message));
    }
    options::without_effect(ssl, tls::WITHOUT_EFFECT, diagnostics);
    tls::check(ssl, &server.host, diagnostics);
}

#[cfg(test)]
mod tests {
    use connector::testing;

    use super::*;

    fn codes(toml: &str) -> Vec<Code> {
        testing::codes(toml, fields::CONNECTOR, connector)
    }

    fn source_codes(parameters: &str) -> Vec<Code> {
        let toml = format!("connector = \"c\"\nparameters = {{ {parameters} }}");
        testing::codes(&toml, fields::SOURCE, source)
    }

    #[test]
    fn what_is_good_is_silent() {
        for good in [
            "server = \"h\"",
            "server = \"mqtts://h\"\nssl = { verify = \"verify_none\" }",
            "server = \"h\"\nproto_ver = \"v5\"\nclean_start = false\nsession_expiry_interval = \"1h\"",
            "server = \"h\"\nstatic_clientids = [{ node = \"n\", ids = [\"a\", { clientid = \"b\", username = \"u\" }] }]",
            "server = \"h\"\nssl = { enable = true, verify = \"verify_none\", versions = [\"tlsv1.3\"], ciphers = [\"TLS_AES_128_GCM_SHA256\"], depth = 2 }",
            "server = \"h\"\nkeepalive = 30000\nconnect_timeout = 5\nmode = \"cluster_shareload\"",
            "server = \"h\"\nresource_opts = { start_after_created = false }",
            "server = \"h\"\ntcp_opts = { sndbuf = \"1MB\", recbuf = \"64KB\", keepalive = \"240,30,5\" }",
        ] {
            assert_eq!(codes(good), [], "{good}");
        }
        assert_eq!(source_codes("topic = \"$share/g/a/#\", qos = 1"), []);
    }

    #[test]
    fn what_is_not_is_said() {
        for (bad, code) in [
            ("server = \"ws://h\"", Code::InvalidValue),
            ("server = \"h\"\npassword = \"p\"", Code::Conflict),
            ("server = \"h\"\nproto_ver = \"v5\"\nbridge_mode = true", Code::IneffectiveSetting),
            ("server = \"h\"\nsession_expiry_interval = \"1h\"", Code::IneffectiveSetting),
            ("server = \"h\"\nping_timeout = \"0s\"", Code::OutOfRange),
            ("server = \"h\"\nkeepalive = \"2d\"", Code::OutOfRange),
            ("server = \"h\"\nkeepalive = 30", Code::BareDuration),
            ("server = \"h\"\nreconnect_interval = \"2s\"", Code::IneffectiveSetting),
            (
                "server = \"h\"\nresource_opts = { health_check_interval_jitter = \"1s\" }",
                Code::IneffectiveSetting,
            ),
            ("server = \"h\"\nssl = { enable = true, cacertfile = \"nowhere.pem\" }", Code::Unreadable),
            (
                "server = \"h\"\nssl = { enable = true, verify = \"verify_none\", certfile = \"c\" }",
                Code::Conflict,
            ),
            (
                "server = \"h\"\nssl = { enable = true, verify = \"verify_none\", ciphers = [\"X\"] }",
                Code::InvalidValue,
            ),
            (
                "server = \"h\"\nssl = { enable = true, verify = \"verify_none\", versions = [\"tlsv9\"] }",
                Code::InvalidValue,
            ),
            (
                "server = \"h\"\nssl = { enable = true, verify = \"verify_none\", versions = [\"tlsv1.3\", \"tlsv1.1\"] }",
                Code::IneffectiveSetting,
            ),
            (
                "server = \"h\"\nssl = { enable = true, verify = \"verify_none\", managed_certs = { bundle_name = \"b\" } }",
                Code::InvalidValue,
            ),
            (
                "server = \"h\"\nssl = { enable = true, verify = \"verify_none\", password = \"p\" }",
                Code::IneffectiveSetting,
            ),
            ("server = \"mqtt://h\"\nssl = { enable = true, verify = \"verify_none\" }", Code::Conflict),
            ("server = \"h\"\ntcp_opts = { keepalive = \"240,30\" }", Code::InvalidValue),
            ("server = \"h\"\nstatic_clientids = [{ node = \"n\", ids = [\"a\", \"a\"] }]", Code::Conflict),
            ("server = \"h\"\nstatic_clientids = [{ node = \"n\", ids = [] }]", Code::InvalidValue),
            (
                "server = \"h\"\npool_size = 2\nstatic_clientids = [{ node = \"n\", ids = [\"a\"] }]",
                Code::IneffectiveSetting,
            ),
        ] {
            assert_eq!(codes(bad), [code], "{bad}");
        }
        assert_eq!(source_codes("topic = \"a/#/b\""), [Code::BadTopicFilter]);
        assert_eq!(source_codes("topic = \"a\", qos = 2"), [Code::IneffectiveSetting]);
    }
}
