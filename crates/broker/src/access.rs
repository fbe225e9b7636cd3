//! Who may connect, and who may do what.

use std::collections::HashMap;
use std::net::SocketAddr;

use mqtt::ReasonCode;

/// What a client says about itself in CONNECT. Never printed: it holds the password.
pub struct Login<'a> {
    /// The client id, assigned if the client gave none.
    pub clientid: &'a str,
    /// The user name.
    pub username: Option<&'a str>,
    /// The password.
    pub password: Option<&'a [u8]>,
    /// Where it comes from.
    pub peername: SocketAddr,
}

/// Decides who may connect. Asked once per CONNECT, on the connection's own task: it may take a moment, but must not
/// block.
pub trait Auth: Send + Sync {
    /// `Err` is what CONNACK says, usually `BadUserNameOrPassword` or `NotAuthorized`.
    fn check(&self, login: &Login<'_>) -> Result<(), ReasonCode>;
}

/// A list of users and passwords, and whether one may come without.
pub struct Users {
    allow_anonymous: bool,
    passwords: HashMap<String, String>,
}

impl Users {
    /// With an empty list and `allow_anonymous`, everybody may connect, whatever user name they give.
    pub fn new(allow_anonymous: bool, passwords: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { allow_anonymous, passwords: passwords.into_iter().collect() }
    }
}

impl Auth for Users {
    fn check(&self, login: &Login<'_>) -> Result<(), ReasonCode> {
        let open = self.allow_anonymous && (login.username.is_none() || self.passwords.is_empty());
        let known = login.username.and_then(|username| self.passwords.get(username));
        let given = login.password.unwrap_or_default();
        match known {
            Some(password) if same(password.as_bytes(), given) => Ok(()),
            None if open => Ok(()),
            Some(_) | None if login.username.is_none() => Err(ReasonCode::NotAuthorized),
            Some(_) | None => Err(ReasonCode::BadUserNameOrPassword),
        }
    }
}

/// Compares without telling by its time where the first difference is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |differ, (left, right)| differ | left ^ right) == 0
}

/// Who asks the ACL.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// The client id.
    pub clientid: &'a str,
    /// The user it authenticated as.
    pub username: Option<&'a str>,
    /// Where it comes from.
    pub peername: SocketAddr,
}

/// Decides what a client may do. Asked on the connection's task for every publish and subscription, before any rule
/// sees the message: it must be quick and must not block.
pub trait Acl: Send + Sync {
    /// Whether `who` may publish to this topic.
    fn may_publish(&self, who: &Who<'_>, topic: &str) -> bool;
    /// Whether `who` may subscribe to this filter, taken out of `$share/…` where it stood in one.
    fn may_subscribe(&self, who: &Who<'_>, filter: &str) -> bool;
}

/// Everybody may do everything, but publish to `$SYS/…`, which is the server's.
#[derive(Debug, Clone, Copy)]
pub struct AllowAll;

impl Acl for AllowAll {
    fn may_publish(&self, _: &Who<'_>, topic: &str) -> bool {
        topic != "$SYS" && !topic.starts_with("$SYS/")
    }

    fn may_subscribe(&self, _: &Who<'_>, _: &str) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(users: &Users, username: Option<&str>, password: Option<&str>) -> Result<(), ReasonCode> {
        let peername = SocketAddr::from(([127, 0, 0, 1], 1));
        users.check(&Login { clientid: "c", username, password: password.map(str::as_bytes), peername })
    }

    #[test]
    fn users_need_their_password_and_nobody_comes_without_unless_allowed() {
        let ann = || [("ann".to_owned(), "secret".to_owned())];
        let closed = Users::new(false, ann());
        assert_eq!(check(&closed, Some("ann"), Some("secret")), Ok(()));
        assert_eq!(check(&closed, Some("ann"), Some("secrets")), Err(ReasonCode::BadUserNameOrPassword));
        assert_eq!(check(&closed, Some("ann"), None), Err(ReasonCode::BadUserNameOrPassword));
        assert_eq!(check(&closed, Some("bob"), Some("secret")), Err(ReasonCode::BadUserNameOrPassword));
        assert_eq!(check(&closed, None, None), Err(ReasonCode::NotAuthorized));
        let mixed = Users::new(true, ann());
        assert_eq!(check(&mixed, None, None), Ok(()));
        assert_eq!(check(&mixed, Some("bob"), Some("x")), Err(ReasonCode::BadUserNameOrPassword));
        assert_eq!(check(&Users::new(true, []), Some("bob"), Some("x")), Ok(()));
        assert_eq!(
            check(&Users::new(false, []), Some("bob"), Some("x")),
            Err(ReasonCode::BadUserNameOrPassword)
        );
    }
}
