//! Who may connect.

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::SystemTime;

use mqtt::ReasonCode;

/// What is known of a client that wants to connect. Never printed: it holds the password.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The name of the listener it came to.
    pub listener: &'a str,
    /// The client id, assigned if the client gave none.
    pub clientid: &'a str,
    /// The user name.
    pub username: Option<&'a str>,
    /// The password.
    pub password: Option<&'a [u8]>,
    /// Where it comes from.
    pub peername: SocketAddr,
    /// The certificate that it has shown.
    pub certificate: Option<PeerCertificate<'a>>,
}

/// A client's certificate, which TLS has verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCertificate<'a> {
    /// The name in it that says who the client is, where its listener asks for one and the certificate has it.
    pub name: Option<&'a str>,
}

/// Who a client was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user: what CONNECT said, or what a token or certificate says instead.
    pub username: Option<String>,
    /// When the connection has to end.
    pub expires_at: Option<SystemTime>,
    /// Whether nothing was asked for.
    pub is_anonymous: bool,
}

/// The answer of [`Auth::check`]: who it is, or what CONNACK says, usually `BadUserNameOrPassword` or `NotAuthorized`.
pub type Checked<'a> = Pin<Box<dyn Future<Output = Result<Identity, ReasonCode>> + Send + 'a>>;

/// Decides who may connect. Asked once per CONNECT, within the listener's time limit for it. The future must not block
/// its thread.
pub trait Auth: Send + Sync {
    /// Who this is.
    fn check<'a>(&'a self, login: Login<'a>) -> Checked<'a>;

    /// Whether what a client that was refused gave as its user name may be shown as one, to rules for example: a secret may
    /// not.
    fn is_name(&self, username: &str) -> bool {
        let _ = username;
        true
    }
}

/// Everybody may connect, under whatever name they give.
#[derive(Debug, Clone, Copy)]
pub struct Everybody;

impl Auth for Everybody {
    fn check<'a>(&'a self, login: Login<'a>) -> Checked<'a> {
        let username = login.username.map(str::to_owned);
        Box::pin(ready(Ok(Identity { username, expires_at: None, is_anonymous: true })))
    }
}
