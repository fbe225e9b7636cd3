//! `[mqtt]`: listeners, who may connect, what they may cost.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use diagnostic::{Code, Diagnostic};

use crate::acl::{Acl, AclConfig, Permission};
use crate::field::Field;
use crate::limits::{Limits, check_packet_bytes_max};
use crate::mqtt_fields::{LISTENER_TLS, LISTENER_WEBSOCKET};
use crate::secret::{Secret, SecretOrigin};
use crate::section::Text;
use crate::server_file::{Layers, SessionsConfig, parse_listen};
use crate::settings::Settings;
use crate::text_file::check_name;

/// The embedded broker's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttConfig {
    /// Where clients come in: `[mqtt] listen` as `mqtt`, unless it is `none`, then the others.
    pub listeners: Vec<ListenerConfig>,
    /// The limits of listeners that say nothing else.
    pub limits: Limits,
    /// The file of users.
    pub users: Option<PathBuf>,
    /// Tokens, where they are taken.
    pub jwt: Option<JwtConfig>,
    /// Who may do what.
    pub acl: AclConfig,
    /// When publishers are acknowledged; `None` for what the actions ask for.
    pub ack: Option<AckLevel>,
    /// Sessions, retained messages and `$SYS`.
    pub sessions: SessionsConfig,
}

/// When a message is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckLevel {
    /// Once it is received.
    Received,
    /// Once every action that can store it has.
    Stored,
    /// Once every action has delivered it.
    Delivered,
}

/// One listener of the embedded broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name.
    pub name: String,
    /// The address to bind; port 0 for any.
    pub listen: SocketAddr,
    /// TLS, for `tls` and `wss`.
    pub tls: Option<TlsConfig>,
    /// The WebSocket, for `ws` and `wss`.
    pub websocket: Option<WebSocketConfig>,
    /// Whether clients may come without credentials: because it is so ordered, or because nothing says who they are.
    pub anonymous: bool,
    /// Whether that was ordered.
    pub allow_anonymous: bool,
    /// What clients may cost.
    pub limits: Limits,
}

/// TLS of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The certificate.
    pub certfile: PathBuf,
    /// Its key.
    pub keyfile: PathBuf,
    /// What opens the key if it is encrypted.
    pub password: Option<Secret>,
    /// Who vouches for clients, if they are asked for a certificate.
    pub cacertfile: Option<PathBuf>,
    /// Whether clients must have one.
    pub fail_if_no_peer_cert: bool,
    /// What of it is the user name.
    pub peer_cert_as_username: Option<PeerCertName>,
    /// Whether TLS 1.2 is spoken beside 1.3.
    pub tls12: bool,
}

/// What of a client's certificate is its user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerCertName {
    /// The common name.
    CommonName,
    /// The whole subject.
    Subject,
    /// The first alternative name.
    AlternativeName,
}

/// The WebSocket of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketConfig {
    /// Its path.
    pub path: String,
    /// The web pages that may open one; `None` where the default holds.
    pub allowed_origins: Option<Vec<String>>,
}

/// Tokens that say who a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtConfig {
    /// What they are signed with.
    pub key: JwtKey,
    /// The algorithms that are taken; those that go with the key if empty.
    pub algorithms: Vec<String>,
    /// Whether the token is in the user name rather than in the password.
    pub in_username: bool,
    /// The claim that is the user name.
    pub username_claim: Option<String>,
    /// Claims and what they must be, with placeholders.
    pub claims: Vec<(String, String)>,
    /// How far clocks may differ.
    pub leeway: Duration,
}

impl JwtConfig {
    /// Whether a token says nothing about the name under which its holder comes.
    fn leaves_names_open(&self) -> bool {
        let bound = |(_, value): &(String, String)| value.contains("${username}") || value.contains("%u");
        !self.in_username && self.username_claim.is_none() && !self.claims.iter().any(bound)
    }
}

/// What tokens are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwtKey {
    /// A secret that both sides know, read anew with the other files.
    Secret(SecretOrigin),
    /// A file with a public key.
    PublicKey(PathBuf),
    /// A file with a set of keys.
    Jwks(PathBuf),
}

impl Layers {
    pub(crate) fn mqtt(&mut self) -> MqttConfig {
        let limits = self.limits();
        let users = self.pick("mqtt", "users").0.path("users").map(Into::into);
        let jwt = self.jwt();
        let acl = self.acl();
        let needs_credentials = users.is_some() || jwt.is_some();
        let allow_anonymous = self.pick("mqtt", "allow_anonymous").0.bool("allow_anonymous");
        let mut listeners = Vec::new();
        if let Some(listen) = self.main_listener() {
            listeners.push(ListenerConfig {
                name: "mqtt".to_owned(),
                listen,
                tls: None,
                websocket: None,
                anonymous: allow_anonymous || !needs_credentials,
                allow_anonymous,
                limits: limits.clone(),
            });
        }
        let (mqtt, layer) = self.pick("mqtt", "listeners");
        let mut diagnostics = Vec::new();
        for settings in mqtt.tables("listeners") {
            let mut listener = listener(settings, &limits, allow_anonymous, &mut diagnostics);
            listener.anonymous = listener.allow_anonymous || !needs_credentials;
            let name = settings.text("name").map_or(settings.section_span(), |name| name.span);
            if listener.name == "http"
                || listeners.iter().any(|other: &ListenerConfig| other.name == listener.name)
            {
                let message = format!("there is a listener `{}` already", listener.name);
                diagnostics
                    .push(Diagnostic::new(Code::Conflict, name, message).help("give it a `name` of its own"));
            }
            diagnostics.extend(check_name("name of a listener", &listener.name, name).err());
            listeners.push(listener);
        }
        diagnostics.into_iter().for_each(|diagnostic| layer.report(diagnostic));
        let ack = self.pick("mqtt", "ack").0.opt_one_of("ack").and_then(ack_level);
        MqttConfig { listeners, limits, users, jwt, acl, ack, sessions: self.sessions() }
    }

    fn main_listener(&mut self) -> Option<SocketAddr> {
        let is_none = self.pick("mqtt", "listen").0.str("listen") == "none";
        (!is_none).then(|| self.listen("mqtt", 1883))
    }

    fn limits(&mut self) -> Limits {
        // Each setting may stand in another layer; together they are read like those of a listener.
        Limits::read(|key| {
            let (settings, layer) = self.pick("mqtt", key);
            let mut diagnostics = Vec::new();
            if key == "max_packet_size" {
                check_packet_bytes_max(&settings, "mqtt.", &mut diagnostics);
            }
            diagnostics.into_iter().for_each(|diagnostic| layer.report(diagnostic));
            settings
        })
    }

    fn jwt(&mut self) -> Option<JwtConfig> {
        let mut pick = |key: &str| self.pick_in(&["mqtt", "jwt"], key).0;
        let secret = pick("secret").secret_origin("secret").map(JwtKey::Secret);
        let public_key = pick("public_key").path("public_key").map(|path| JwtKey::PublicKey(path.to_owned()));
        let jwks = pick("jwks").path("jwks").map(|path| JwtKey::Jwks(path.to_owned()));
        let jwt = JwtConfig {
            key: secret.clone().or(public_key.clone()).or(jwks.clone())?,
            algorithms: texts(&pick("algorithms"), "algorithms"),
            in_username: pick("from").one_of("from") == "username",
            username_claim: pick("username_claim").opt_str("username_claim").map(str::to_owned),
            claims: pick("verify_claims")
                .template_map("verify_claims")
                .iter()
                .map(|entry| (entry.key.clone(), entry.text().text.to_owned()))
                .collect(),
            leeway: pick("leeway").duration("leeway"),
        };
        let given =
            [("secret", secret.is_some()), ("public_key", public_key.is_some()), ("jwks", jwks.is_some())];
        let mut given = given.into_iter().filter_map(|(name, is_given)| is_given.then_some(name));
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let (settings, layer) = self.pick_in(&["mqtt", "jwt"], second);
            let message = format!("`mqtt.jwt` has `{first}` and `{second}`");
            let diagnostic = Diagnostic::new(Code::Conflict, settings.span(second), message);
            layer.report(diagnostic.help("tokens are signed with one of them"));
        }
        if jwt.leaves_names_open() {
            let key = match &jwt.key {
                JwtKey::Secret(_) => "secret",
                JwtKey::PublicKey(_) => "public_key",
                JwtKey::Jwks(_) => "jwks",
            };
            let (settings, layer) = self.pick_in(&["mqtt", "jwt"], key);
            let message =
                "no claim says who the holder of a token is, so any user name in CONNECT is believed";
            let help = "add `username_claim = \"sub\"` to `[mqtt.jwt]`, or `verify_claims = { sub = \"${username}\" }`";
            layer.report(Diagnostic::new(Code::ForgeableName, settings.key_span(key), message).help(help));
        }
        Some(jwt)
    }

    fn acl(&mut self) -> AclConfig {
        let (settings, _) = self.pick_in(&["mqtt", "acl"], "file");
        let file = settings.path("file").map(std::path::Path::to_owned);
        let (settings, layer) = self.pick_in(&["mqtt", "acl"], "rules");
        let mut diagnostics = Vec::new();
        let inline = AclConfig::of(&settings, &mut diagnostics);
        if file.is_some() {
            for key in ["rules", "no_match", "deny_action"].into_iter().filter(|key| settings.is_given(key)) {
                let message = format!("`mqtt.acl.{key}` and `mqtt.acl.file` exclude each other");
                let diagnostic = Diagnostic::new(Code::Conflict, settings.key_span(key), message);
                diagnostics.push(diagnostic.help("write it into the file"));
            }
        }
        diagnostics.into_iter().for_each(|diagnostic| layer.report(diagnostic));
        match file {
            Some(file) => {
                let (acl, problems) = AclConfig::load(&file);
                self.problems.extend(problems);
                acl
            }
            None if inline.acl.rules.is_empty() && !settings.is_given("no_match") => {
                AclConfig { acl: Acl { no_match: Permission::Allow, ..inline.acl }, ..inline }
            }
            None => inline,
        }
    }
}

/// What a word of `ack` means.
pub(crate) fn ack_level(word: &str) -> Option<AckLevel> {
    match word {
        "received" => Some(AckLevel::Received),
        "stored" => Some(AckLevel::Stored),
        "delivered" => Some(AckLevel::Delivered),
        _ => None,
    }
}

fn texts(settings: &Settings, key: &str) -> Vec<String> {
    settings.str_list(key).iter().map(|text| text.text.to_owned()).collect()
}

/// One of `[[mqtt.listeners]]`. Whether it is anonymous is not known yet.
fn listener(
    settings: &Settings,
    inherited: &Limits,
    allow_anonymous: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> ListenerConfig {
    let kind = settings.one_of("type");
    let is_tls = matches!(kind, "tls" | "wss");
    let is_websocket = matches!(kind, "ws" | "wss");
    let port = match kind {
        "tls" => 8883,
        "ws" => 8083,
        "wss" => 8084,
        _ => 1883,
    };
    let of_others = |only: &[Field], is_meant: bool, what: &str, diagnostics: &mut Vec<Diagnostic>| {
        for field in only.iter().filter(|field| !is_meant && settings.is_given(field.name)) {
            let message = format!("`{}` is for {what}, and this one is `{kind}`", field.name);
            diagnostics.push(Diagnostic::new(Code::Conflict, settings.key_span(field.name), message));
        }
    };
    of_others(&LISTENER_TLS, is_tls, "listeners of type `tls` and `wss`", diagnostics);
    of_others(&LISTENER_WEBSOCKET, is_websocket, "listeners of type `ws` and `wss`", diagnostics);
    let mut limits = inherited.clone();
    limits.take_given(settings);
    if settings.is_given("max_packet_size") {
        check_packet_bytes_max(settings, "", diagnostics);
    }
    ListenerConfig {
        name: settings.opt_str("name").unwrap_or(kind).to_owned(),
        listen: address(settings, port, diagnostics),
        tls: if is_tls { tls(settings, diagnostics) } else { None },
        websocket: is_websocket.then(|| websocket(settings, diagnostics)),
        anonymous: false,
        allow_anonymous: settings.opt_bool("allow_anonymous").unwrap_or(allow_anonymous),
        limits,
    }
}

fn address(settings: &Settings, port: u16, diagnostics: &mut Vec<Diagnostic>) -> SocketAddr {
    let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let Some(text) = settings.text("listen") else { return default };
    let bare = || text.text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port));
    parse_listen(text).or_else(bare).unwrap_or_else(|| {
        let message = format!("`listen` is not an address: `{}`", text.text);
        let help = format!(
            "write an IP address, with or without a port: `127.0.0.1:{port}`, `[::1]:{port}` or `0.0.0.0`"
        );
        diagnostics.push(Diagnostic::new(Code::InvalidValue, text.span, message).help(help));
        default
    })
}

fn tls(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Option<TlsConfig> {
    let mut needed = |key: &str| {
        let path = settings.path(key).map(PathBuf::from);
        if path.is_none() {
            let message = format!(
                "`{key}` is missing: a listener of type `{}` needs a certificate and its key",
                settings.one_of("type")
            );
            diagnostics.push(Diagnostic::new(Code::MissingKey, settings.section_span(), message));
        }
        path
    };
    let (certfile, keyfile) = (needed("certfile"), needed("keyfile"));
    let asks = settings.one_of("verify") == "verify_peer";
    if asks && !settings.is_set("cacertfile") {
        let message = "`cacertfile` is missing: it says who vouches for the certificates of clients";
        diagnostics.push(Diagnostic::new(Code::MissingKey, settings.span("verify"), message));
    }
    for key in ["fail_if_no_peer_cert", "peer_cert_as_username"] {
        if !asks && settings.is_given(key) && is_on(settings, key) {
            let message = format!(
                "`{key}` needs `verify = \"verify_peer\"`: otherwise no client is asked for a certificate"
            );
            diagnostics.push(Diagnostic::new(Code::Conflict, settings.key_span(key), message));
        }
    }
    let versions = settings.str_list("versions");
    for version in versions.iter().filter(|version| !matches!(version.text, "tlsv1.2" | "tlsv1.3")) {
        let message = format!("`{}` is no version of TLS that is spoken here", version.text);
        diagnostics.push(
            Diagnostic::new(Code::InvalidValue, version.span, message).help("write `tlsv1.3` or `tlsv1.2`"),
        );
    }
    let speaks = |name: &str| versions.is_empty() || versions.iter().any(|version| version.text == name);
    if let (false, Some(first)) = (speaks("tlsv1.3"), versions.first()) {
        let message = "`versions` must hold `tlsv1.3`: there is no reason to turn it off";
        diagnostics.push(Diagnostic::new(Code::InvalidValue, first.span, message));
    }
    Some(TlsConfig {
        certfile: certfile?,
        keyfile: keyfile?,
        password: settings.secret("password").cloned(),
        cacertfile: settings.path("cacertfile").filter(|_| asks).map(PathBuf::from),
        fail_if_no_peer_cert: asks && settings.bool("fail_if_no_peer_cert"),
        peer_cert_as_username: settings.opt_one_of("peer_cert_as_username").map(|word| match word {
            "dn" => PeerCertName::Subject,
            "san" => PeerCertName::AlternativeName,
            _ => PeerCertName::CommonName,
        }),
        tls12: speaks("tlsv1.2"),
    })
}

/// Whether a setting asks for anything.
fn is_on(settings: &Settings, key: &str) -> bool {
    key != "fail_if_no_peer_cert" || settings.bool(key)
}

fn websocket(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> WebSocketConfig {
    let path = settings.text("path").unwrap_or_default();
    if !path.text.starts_with('/') || path.text.contains(['?', '#', ' ']) {
        let message = format!("`path` begins with a slash and is nothing but a path, not `{}`", path.text);
        diagnostics.push(Diagnostic::new(Code::InvalidValue, path.span, message));
    }
    let origins = settings.is_set("allowed_origins").then(|| settings.str_list("allowed_origins"));
    for origin in origins.iter().flatten().filter(|origin| !is_origin(**origin)) {
        let message = format!("`{}` is no origin of a web page", origin.text);
        let help = "write scheme, host and port as a browser does, without a path: `https://app.example.com`, or `*`";
        diagnostics.push(Diagnostic::new(Code::InvalidValue, origin.span, message).help(help));
    }
    WebSocketConfig {
        path: path.text.to_owned(),
        allowed_origins: origins.map(|origins| origins.iter().map(|origin| origin.text.to_owned()).collect()),
    }
}

fn is_origin(text: Text<'_>) -> bool {
    let host = text.text.split_once("://").map(|(_, host)| host);
    text.text == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
}
