use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use broker::{Auth, Checked, Identity, Login, ReasonCode};
use config::users::Users;
use tokio::sync::Semaphore;

use crate::failures::Failures;
use crate::password::is_password;
use crate::recent::Recent;
use crate::token::Tokens;

/// Finds out who clients are. What it knows can be replaced while it is asked.
pub struct Authenticator {
    /// By the name of the listener.
    policies: HashMap<String, Policy>,
    credentials: ArcSwap<Credentials>,
    /// Passwords that are hashed at a time: each takes a CPU and 19 MiB. Those that wait do so within the time that a
    /// client has to connect.
    hashing: Arc<Semaphore>,
    /// Of these, the one that is for all that come from where wrong passwords came from: whoever guesses keeps at most one
    /// place in the line of the others.
    suspected: Arc<Semaphore>,
    failures: Failures,
    recent: Option<Recent>,
}

/// What one listener asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether clients may come without credentials.
    pub anonymous: bool,
    /// Whether the client's certificate says which user it is.
    pub by_certificate: bool,
}

/// What clients are held against.
#[derive(Default)]
pub struct Credentials {
    /// Users with the hashes of their passwords; `None` where there is no file of them.
    pub users: Option<Users>,
    /// Tokens, where they are taken.
    pub tokens: Option<Tokens>,
}

impl Authenticator {
    /// For listeners of these names; a client of another one is refused.
    pub fn new(policies: impl IntoIterator<Item = (String, Policy)>, credentials: Credentials) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, Into::into);
        Self {
            policies: policies.into_iter().collect(),
            credentials: ArcSwap::from_pointee(credentials),
            hashing: Arc::new(Semaphore::new((cpus / 2).clamp(1, 8))),
            suspected: Arc::new(Semaphore::new(1)),
            failures: Failures::default(),
            recent: Recent::new(),
        }
    }

    /// Holds clients that come from now on against these.
    pub fn replace(&self, credentials: Credentials) {
        self.credentials.store(Arc::new(credentials));
    }

    async fn identify(&self, login: Login<'_>) -> Result<Identity, ReasonCode> {
        let Some(policy) = self.policies.get(login.listener) else { return Err(ReasonCode::NotAuthorized) };
        if let (true, Some(certificate)) = (policy.by_certificate, login.certificate) {
            let name = certificate.name.ok_or(ReasonCode::NotAuthorized)?;
            return Ok(Identity { username: Some(name.to_owned()), expires_at: None, is_anonymous: false });
        }
        let credentials = self.credentials.load_full();
        if let Some(tokens) = &credentials.tokens
            && let Some(token) = token_of(tokens, &login)
        {
            let token = tokens.check(token, login.clientid, login.username, SystemTime::now())?;
            // A token in the user name is no name to show.
            let said = login.username.filter(|_| !tokens.in_username).map(str::to_owned);
            let username = token.username.or(said);
            return Ok(Identity { username, expires_at: token.expires_at, is_anonymous: false });
        }
        match (&credentials.users, login.username) {
            (Some(users), Some(username)) => {
                let hash = users.get(username).map(String::as_str);
                let password = login.password.unwrap_or_default();
                if !self.is_right(username, hash, password, login.peername.ip()).await {
                    self.failures.note(login.peername.ip(), Instant::now());
                    return Err(ReasonCode::BadUserNameOrPassword);
                }
                Ok(Identity { username: Some(username.to_owned()), expires_at: None, is_anonymous: false })
            }
            (None, Some(_)) if credentials.tokens.is_some() && !policy.anonymous => {
                Err(ReasonCode::BadUserNameOrPassword)
            }
            (_, username) if policy.anonymous => {
                // Names that others have to prove are not for whoever merely says so.
                let is_proven =
                    credentials.tokens.is_some() || self.policies.values().any(|it| it.by_certificate);
                let username = username.filter(|_| !is_proven).map(str::to_owned);
                Ok(Identity { username, expires_at: None, is_anonymous: true })
            }
            _ => Err(ReasonCode::NotAuthorized),
        }
    }

    async fn is_right(&self, username: &str, hash: Option<&str>, password: &[u8], from: IpAddr) -> bool {
        if let (Some(recent), Some(hash)) = (&self.recent, hash)
            && recent.knows(username, hash, password, Instant::now())
        {
            return true;
        }
        let (owned_hash, owned_password) = (hash.map(str::to_owned), password.to_vec());
        let line = if self.failures.suspects(from, Instant::now()) {
            Some(Arc::clone(&self.suspected).acquire_owned().await)
        } else {
            None
        };
        // The permit goes along, since the hashing goes on when the client does not wait for it.
        let Ok(permit) = Arc::clone(&self.hashing).acquire_owned().await else { return false };
        let checked = tokio::task::spawn_blocking(move || {
            let _permits = (permit, line);
            is_password(owned_hash.as_deref(), &owned_password)
        });
        let is_right = checked.await.unwrap_or(false);
        if let (true, Some(recent), Some(hash)) = (is_right, &self.recent, hash) {
            recent.remember(username, hash, password, Instant::now());
        }
        is_right
    }
}

impl Auth for Authenticator {
    fn check<'a>(&'a self, login: Login<'a>) -> Checked<'a> {
        Box::pin(self.identify(login))
    }

    fn is_name(&self, username: &str) -> bool {
        let credentials = self.credentials.load();
        !credentials.tokens.as_ref().is_some_and(|tokens| tokens.in_username) || !Tokens::is_token(username)
    }
}

/// The token that a client gives, if what it gives is one.
fn token_of<'a>(tokens: &Tokens, login: &Login<'a>) -> Option<&'a str> {
    let given = if tokens.in_username {
        login.username
    } else {
        login.password.and_then(|password| std::str::from_utf8(password).ok())
    };
    given.filter(|text| Tokens::is_token(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash_password;
    use broker::PeerCertificate;
    use config::mqtt_config::{JwtConfig, JwtKey};
    use config::secret::SecretOrigin;
    use std::net::SocketAddr;
    use std::time::Duration;

    const LOGIN: Login<'_> = Login {
        listener: "mqtt",
        clientid: "c1",
        username: None,
        password: None,
        peername: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1),
        certificate: None,
    };

    fn authenticator(anonymous: bool, by_certificate: bool, users: &[(&str, &str)]) -> Authenticator {
        let policy = Policy { anonymous, by_certificate };
        let hashed =
            |(name, password): &(&str, &str)| (name.to_string(), hash_password(password.as_bytes()).unwrap());
        let users = (!users.is_empty()).then(|| users.iter().map(hashed).collect());
        Authenticator::new([("mqtt".to_owned(), policy)], Credentials { users, tokens: None })
    }

    async fn user(authenticator: &Authenticator, login: Login<'_>) -> Result<Option<String>, ReasonCode> {
        authenticator.check(login).await.map(|identity| identity.username)
    }

    #[tokio::test]
    async fn users_need_their_password_and_nobody_comes_without_unless_allowed() {
        let closed = authenticator(false, false, &[("ann", "secret")]);
        let login = |username, password| Login { username, password, ..LOGIN };
        let ann = Some("ann".to_owned());
        for _ in 0..2 {
            assert_eq!(user(&closed, login(Some("ann"), Some(b"secret"))).await, Ok(ann.clone()));
        }
        let wrong = Err(ReasonCode::BadUserNameOrPassword);
        assert_eq!(user(&closed, login(Some("ann"), Some(b"secrets"))).await, wrong);
        assert_eq!(user(&closed, login(Some("ann"), None)).await, wrong);
        assert_eq!(user(&closed, login(Some("bob"), Some(b"secret"))).await, wrong);
        assert_eq!(user(&closed, LOGIN).await, Err(ReasonCode::NotAuthorized));
        let mixed = authenticator(true, false, &[("ann", "secret")]);
        assert_eq!(user(&mixed, LOGIN).await, Ok(None));
        assert_eq!(user(&mixed, login(Some("bob"), Some(b"x"))).await, wrong);
        let open = authenticator(true, false, &[]);
        assert_eq!(user(&open, login(Some("bob"), Some(b"x"))).await, Ok(Some("bob".to_owned())));
        assert_eq!(user(&open, Login { listener: "other", ..LOGIN }).await, Err(ReasonCode::NotAuthorized));
    }

    #[tokio::test]
    async fn whoever_guesses_does_not_stand_before_everybody_else() {
        let authenticator = Arc::new(authenticator(false, false, &[("ann", "secret")]));
        let (now, guesser) = (Instant::now(), SocketAddr::from(([10, 0, 0, 7], 1)));
        (0..50).for_each(|_| authenticator.failures.note(guesser.ip(), now));
        // As if a guess were being hashed that takes for ever: those behind it wait, and only those.
        let _stuck = authenticator.suspected.acquire().await.unwrap();
        let guesses: Vec<_> = (0..20)
            .map(|_| {
                let authenticator = Arc::clone(&authenticator);
                let login =
                    Login { username: Some("ann"), password: Some(b"guess"), peername: guesser, ..LOGIN };
                tokio::spawn(async move { user(&authenticator, login).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let ann = Login { username: Some("ann"), password: Some(b"secret"), ..LOGIN };
        assert_eq!(user(&authenticator, ann).await, Ok(Some("ann".to_owned())));
        assert!(guesses.iter().all(|guess| !guess.is_finished()));
    }

    #[tokio::test]
    async fn a_changed_password_counts_at_once() {
        let authenticator = authenticator(false, false, &[("ann", "old")]);
        let login = |password| Login { username: Some("ann"), password: Some(password), ..LOGIN };
        assert!(user(&authenticator, login(b"old")).await.is_ok());
        let users = HashMap::from([("ann".to_owned(), hash_password(b"new").unwrap())]);
        authenticator.replace(Credentials { users: Some(users), tokens: None });
        assert!(user(&authenticator, login(b"old")).await.is_err());
        assert!(user(&authenticator, login(b"new")).await.is_ok());
    }

    #[test]
    fn a_token_in_the_user_name_is_no_name_to_show() {
        let config = JwtConfig {
            key: JwtKey::Secret(SecretOrigin::Plain("hush".to_owned())),
            algorithms: Vec::new(),
            in_username: true,
            username_claim: None,
            claims: Vec::new(),
            leeway: Duration::ZERO,
        };
        let token = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";
        let authenticator = authenticator(false, false, &[("ann", "secret")]);
        assert!(authenticator.is_name(token));
        authenticator.replace(Credentials { users: None, tokens: Some(Tokens::open(&config).unwrap()) });
        assert!(!authenticator.is_name(token) && authenticator.is_name("ann"));
    }

    #[tokio::test]
    async fn a_certificate_says_who_it_is_where_its_listener_asks() {
        let by_certificate = authenticator(false, true, &[("ann", "secret")]);
        let named =
            |name| Login { certificate: Some(PeerCertificate { name }), username: Some("ann"), ..LOGIN };
        assert_eq!(user(&by_certificate, named(Some("plant-7"))).await, Ok(Some("plant-7".to_owned())));
        assert_eq!(user(&by_certificate, named(None)).await, Err(ReasonCode::NotAuthorized));
        let or_nobody = authenticator(true, true, &[]);
        let claimed = Login { username: Some("plant-7"), ..LOGIN };
        assert_eq!(user(&or_nobody, claimed).await, Ok(None), "a certificate has to say so");
        let by_password = authenticator(false, false, &[("ann", "secret")]);
        assert!(user(&by_password, named(Some("plant-7"))).await.is_err(), "a password is asked for as well");
    }
}
