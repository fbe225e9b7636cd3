//! Who may come in and what they may do: the files that say so, opened at the start and read anew when they change.
//!
//! Each part stands for itself: a file with a mistake leaves what it said before in force, and the log says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use api::{Certificate, CertificateOwner, FilesOutcome, FilesReload};
use arc_swap::ArcSwap;
use auth::{Authenticator, Credentials, Policy, Tokens};
use broker::{AccessList, Listener, Origins, PeerName, WebSocketTerms};
use config::acl::AclConfig;
use config::content::{ContentHash, read_file};
use config::mqtt_config::{JwtConfig, JwtKey, ListenerConfig, MqttConfig, PeerCertName, TlsConfig};
use config::secret::SecretOrigin;
use config::users::{self, Users};
use config::{FileProblem, Watch};
use diagnostic::{Code, Diagnostic, Span, Style};
use parking_lot::Mutex;
use tls::{ClientCertificates, Identity, ServerTls, ServerTlsError, server_config};

use crate::certificates;

/// The largest certificate or key file that is read.
pub(crate) const PEM_BYTES_MAX: u64 = 1 << 20;

/// Everything that decides about clients.
pub(crate) struct Door {
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) acl: Arc<AccessList>,
    pub(crate) listeners: Vec<Listener>,
    certificates: Vec<Arc<ListenerCertificate>>,
    parts: Vec<Part>,
}

/// The certificate of a listener.
struct ListenerCertificate {
    listener: String,
    file: PathBuf,
    /// Seconds since 1970; 0 if it cannot be told.
    expires_at: AtomicI64,
}

/// Files that are read together, and what is done with them.
struct Part {
    what: String,
    files: Vec<PathBuf>,
    /// A lock since a signal and the watch may come at the same time.
    seen: Mutex<Seen>,
    load: Box<dyn Fn() -> Result<(), Vec<FileProblem>> + Send + Sync>,
}

/// What the files of a part were when they were last read.
struct Seen {
    hashes: Vec<Option<ContentHash>>,
    /// Whether they had a mistake, which is told until it is gone.
    failed: bool,
}

impl Door {
    /// Reads every file. Whatever has a mistake, the door stays shut.
    pub(crate) fn open(config: &MqttConfig) -> Result<Self, Vec<FileProblem>> {
        let (mut problems, mut parts) = (Vec::new(), Vec::new());
        let credentials = credentials(config).unwrap_or_else(|found| {
            problems.extend(found);
            Credentials::default()
        });
        let authenticator = Arc::new(Authenticator::new(config.listeners.iter().map(policy), credentials));
        let acl = AccessList::new(config.acl.acl.clone());
        let (mut listeners, mut certificates) = (Vec::new(), Vec::new());
        for listener in &config.listeners {
            let tls = listener.tls.as_ref().map(|tls| {
                let opened = TlsFiles::open(&listener.name, tls);
                opened.map(|opened| {
                    certificates.push(Arc::clone(&opened.certificate));
                    parts.push(opened.part(tls.clone()));
                    opened.config
                })
            });
            match tls.transpose() {
                Ok(tls) => listeners.push(broker_listener(listener, tls)),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        parts.extend(credentials_part(config, &authenticator));
        parts.extend(acl_part(config, &acl));
        Ok(Self { authenticator, acl, listeners, certificates, parts })
    }

    /// Reads what has changed, and says what came of it.
    pub(crate) fn reload(&self) -> Vec<FilesReload> {
        self.parts.iter().map(Part::reload).collect()
    }

    /// Reads what changes from now on, until the watch is dropped.
    pub(crate) fn watch(self: &Arc<Self>) -> std::io::Result<Watch> {
        let door = Arc::clone(self);
        let watch = Watch::start(Vec::new(), move || drop(door.reload()))?;
        watch.set_files(self.parts.iter().flat_map(|part| part.files.clone()).collect());
        Ok(watch)
    }

    /// The certificates in use, of the listeners that have one.
    pub(crate) fn certificates(&self) -> Vec<Certificate> {
        self.certificates.iter().filter_map(|it| it.read()).collect()
    }
}

impl ListenerCertificate {
    fn read(&self) -> Option<Certificate> {
        let expires_at = Some(self.expires_at.load(Ordering::Relaxed)).filter(|at| *at != 0)?;
        let owner = CertificateOwner::Listener(self.listener.clone());
        Some(Certificate { owner, file: self.file.clone(), expires_at })
    }
}

impl Part {
    fn new(
        what: String,
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<(), Vec<FileProblem>> + Send + Sync + 'static,
    ) -> Self {
        let seen = Mutex::new(Seen { hashes: hashes(&files), failed: false });
        Self { what, files, seen, load: Box::new(load) }
    }

    fn reload(&self) -> FilesReload {
        let mut seen = self.seen.lock();
        let now = hashes(&self.files);
        if seen.hashes == now && !seen.failed {
            return self.came_to(FilesOutcome::Unchanged, Vec::new());
        }
        let loaded = (self.load)();
        *seen = Seen { hashes: now, failed: loaded.is_err() };
        match loaded {
            Ok(()) => {
                tracing::info!("{}: read anew", self.what);
                self.came_to(FilesOutcome::Reloaded, Vec::new())
            }
            Err(problems) => {
                for problem in &problems {
                    let shown = problem.source().render(&problem.diagnostic, Style::Plain);
                    tracing::error!("{}: what it was before stays in force\n{shown}", self.what);
                }
                self.came_to(FilesOutcome::Failed, problems)
            }
        }
    }

    fn came_to(&self, outcome: FilesOutcome, problems: Vec<FileProblem>) -> FilesReload {
        FilesReload { what: self.what.clone(), files: self.files.clone(), outcome, problems }
    }
}

fn hashes(files: &[PathBuf]) -> Vec<Option<ContentHash>> {
    let hash = |file: &PathBuf| read_file(file, PEM_BYTES_MAX).ok().map(|bytes| ContentHash::of(&bytes));
    files.iter().map(hash).collect()
}

fn policy(listener: &ListenerConfig) -> (String, Policy) {
    let by_certificate = listener.tls.as_ref().is_some_and(|tls| tls.peer_cert_as_username.is_some());
    (listener.name.clone(), Policy { anonymous: listener.anonymous, by_certificate })
}

fn broker_listener(listener: &ListenerConfig, tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>) -> Listener {
    let peer_name = listener.tls.as_ref().and_then(|tls| tls.peer_cert_as_username);
    Listener {
        name: listener.name.clone(),
        address: listener.listen,
        tls,
        peer_name: peer_name.map(|name| match name {
            PeerCertName::CommonName => PeerName::CommonName,
            PeerCertName::Subject => PeerName::Subject,
            PeerCertName::AlternativeName => PeerName::AlternativeName,
        }),
        websocket: listener.websocket.as_ref().map(|websocket| WebSocketTerms {
            path: websocket.path.clone(),
            origins: match &websocket.allowed_origins {
                Some(origins) if origins.iter().any(|origin| origin == "*") => Origins::Any,
                Some(origins) => Origins::Listed(origins.clone()),
                None if listener.anonymous && !listener.allow_anonymous => Origins::ThisMachine,
                None => Origins::Any,
            },
            // A message may hold several packets, and a part of another.
            message_bytes_max: listener.limits.packet_bytes_max as usize + 64 * 1024,
        }),
        limits: listener.limits.clone(),
    }
}

/// What is wrong with a whole file.
fn problem(path: &Path, code: Code, message: String) -> Vec<FileProblem> {
    let diagnostic = Diagnostic::new(code, Span::default(), message);
    vec![FileProblem { path: path.to_owned(), text: String::new(), diagnostic }]
}

/// Users and tokens as their files have them now.
fn credentials(config: &MqttConfig) -> Result<Credentials, Vec<FileProblem>> {
    let users = config.users.as_deref().map(users_of);
    let tokens = config.jwt.as_ref().map(tokens_of);
    match (users.transpose(), tokens.transpose()) {
        (Ok(users), Ok(tokens)) => Ok(Credentials { users, tokens }),
        (users, tokens) => Err([users.err(), tokens.err()].into_iter().flatten().flatten().collect()),
    }
}

fn users_of(path: &Path) -> Result<Users, Vec<FileProblem>> {
    let (users, mut problems) = users::load(path);
    for (name, _) in users.iter().filter(|(_, hash)| !auth::is_password_hash(hash)) {
        let message = format!("what stands after `{name}:` is no Argon2 hash");
        problems.extend(problem(path, Code::InvalidValue, message));
    }
    if problems.is_empty() { Ok(users) } else { Err(problems) }
}

fn tokens_of(jwt: &JwtConfig) -> Result<Tokens, Vec<FileProblem>> {
    let file = jwt_file(jwt).unwrap_or(Path::new("configuration"));
    Tokens::open(jwt).map_err(|error| problem(file, Code::InvalidValue, error.to_string()))
}

fn jwt_file(jwt: &JwtConfig) -> Option<&Path> {
    match &jwt.key {
        JwtKey::PublicKey(path) | JwtKey::Jwks(path) | JwtKey::Secret(SecretOrigin::File(path)) => Some(path),
        JwtKey::Secret(_) => None,
    }
}

fn credentials_part(config: &MqttConfig, authenticator: &Arc<Authenticator>) -> Option<Part> {
    let jwt = config.jwt.as_ref().and_then(jwt_file).map(Path::to_owned);
    let files: Vec<PathBuf> = config.users.clone().into_iter().chain(jwt).collect();
    let (config, authenticator) = (config.clone(), Arc::clone(authenticator));
    let load = move || {
        authenticator.replace(credentials(&config)?);
        Ok(())
    };
    (!files.is_empty()).then(|| Part::new("users and tokens".to_owned(), files, load))
}

fn acl_part(config: &MqttConfig, acl: &Arc<AccessList>) -> Option<Part> {
    let file = config.acl.file.clone()?;
    let (path, acl) = (file.clone(), Arc::clone(acl));
    let load = move || {
        let (list, problems) = AclConfig::load(&path);
        if problems.iter().any(|problem| problem.diagnostic.is_error()) {
            return Err(problems);
        }
        acl.replace(list.acl);
        Ok(())
    };
    Some(Part::new("access list".to_owned(), vec![file], load))
}

/// TLS of one listener, as its files have it now.
struct TlsFiles {
    config: Arc<ArcSwap<rustls::ServerConfig>>,
    certificate: Arc<ListenerCertificate>,
}

impl TlsFiles {
    fn open(listener: &str, tls: &TlsConfig) -> Result<Self, Vec<FileProblem>> {
        let (config, expires_at) = load_tls(tls)?;
        let certificate = ListenerCertificate {
            listener: listener.to_owned(),
            file: tls.certfile.clone(),
            expires_at: AtomicI64::new(expires_at),
        };
        Ok(Self { config: Arc::new(ArcSwap::new(config)), certificate: Arc::new(certificate) })
    }

    fn part(&self, tls: TlsConfig) -> Part {
        let files = [&tls.certfile, &tls.keyfile].into_iter().chain(&tls.cacertfile).cloned().collect();
        let what = format!("certificate of the listener `{}`", self.certificate.listener);
        let (config, certificate) = (Arc::clone(&self.config), Arc::clone(&self.certificate));
        Part::new(what, files, move || {
            let (new, expires_at) = load_tls(&tls)?;
            config.store(new);
            certificate.expires_at.store(expires_at, Ordering::Relaxed);
            certificate.read().iter().for_each(certificates::warn);
            Ok(())
        })
    }
}

/// The configuration of TLS, and when the certificate expires (seconds since 1970; 0 if that cannot be told).
fn load_tls(tls: &TlsConfig) -> Result<(Arc<rustls::ServerConfig>, i64), Vec<FileProblem>> {
    let read = |path: &Path| {
        read_file(path, PEM_BYTES_MAX)
            .map_err(|error| problem(path, Code::Unreadable, format!("it cannot be read: {error}")))
    };
    let clients = match &tls.cacertfile {
        None => ClientCertificates::NotAsked,
        Some(path) if tls.fail_if_no_peer_cert => ClientCertificates::Required(read(path)?),
        Some(path) => ClientCertificates::Optional(read(path)?),
    };
    let password = tls.password.as_ref().map(|password| password.reveal().to_owned());
    let identity = Identity { certificates: read(&tls.certfile)?, key: read(&tls.keyfile)?, password };
    let opened = server_config(&ServerTls { identity, clients, tls12: tls.tls12 });
    let (config, leaf) = opened.map_err(|error| {
        let path = match (&error, &tls.cacertfile) {
            (ServerTlsError::Key(_), _) => &tls.keyfile,
            (ServerTlsError::Authorities | ServerTlsError::Verifier(_), Some(path)) => path,
            _ => &tls.certfile,
        };
        problem(path, Code::InvalidValue, error.to_string())
    })?;
    Ok((config, tls::expires_at(&leaf).unwrap_or(0)))
}
