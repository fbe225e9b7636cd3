//! What fields alone cannot say about connectors.

use config::Settings;
use connector::options;
use diagnostic::{Code, Diagnostic};
use hyper::header::HeaderValue;

use crate::action::header_name;
use crate::base::Base;
use crate::fields;

/// Checks a connector.
pub(crate) fn connector(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    options::check_resource_opts(settings.table("resource_opts"), diagnostics);
    options::without_effect(settings, fields::WITHOUT_EFFECT, diagnostics);
    let base = url(settings, "url", diagnostics);
    headers(settings, diagnostics);
    login(settings, diagnostics);
    if settings.duration("connect_timeout").is_zero() {
        let message = "`connect_timeout` must be longer than nothing";
        diagnostics.push(Diagnostic::new(Code::OutOfRange, settings.span("connect_timeout"), message));
    }
    let ssl = settings.table("ssl");
    if let Some(base) = base {
        if ssl.bool("enable") && !base.is_https() {
            let message = "`ssl.enable` contradicts `http://` in `url`";
            diagnostics.push(
                Diagnostic::new(Code::Conflict, ssl.span("enable"), message)
                    .help("write `https://` in `url`"),
            );
        }
        if base.is_https() {
            options::without_effect(ssl, tls::WITHOUT_EFFECT, diagnostics);
            tls::check(ssl, base.host(), diagnostics);
        }
    }
}

fn url(settings: &Settings, name: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Base> {
    let url = Base::parse(settings.str(name));
    if let Err(error) = &url {
        let message = format!("`{name}` is no address: {error}");
        let help = "write `http://host:port/path` or `https://…`";
        diagnostics.push(Diagnostic::new(Code::InvalidValue, settings.span(name), message).help(help));
    }
    url.ok()
}

fn headers(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    for entry in settings.template_map("headers") {
        if header_name(&entry.key).is_none() {
            let message = format!("`{}` can be no header of a request", entry.key);
            diagnostics.push(Diagnostic::new(Code::InvalidValue, entry.key_span, message));
        } else if HeaderValue::from_str(entry.text().text).is_err() {
            let message = format!("the value of `{}` holds characters that no header may have", entry.key);
            diagnostics.push(Diagnostic::new(Code::InvalidValue, entry.text().span, message));
        } else if entry.text().text.contains("${") {
            let message = "placeholders have no effect here: these headers are the same for every request";
            let help = "give the header to the action, under `parameters.headers`";
            diagnostics
                .push(Diagnostic::new(Code::IneffectiveSetting, entry.text().span, message).help(help));
        }
    }
}

fn login(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    if settings.secret("password").is_some() && !settings.is_set("username") {
        let message = "`password` needs a `username`";
        diagnostics.push(Diagnostic::new(Code::Conflict, settings.key_span("password"), message));
    }
    let Some(oauth2) = settings.opt_table("oauth2") else { return };
    if settings.is_set("username") {
        let message = "`username` and `oauth2` are two logins, and a request can have but one";
        diagnostics.push(Diagnostic::new(Code::Conflict, settings.key_span("oauth2"), message));
    }
    if let Some(url) = url(oauth2, "token_url", diagnostics)
        && !url.is_https()
        && !is_loopback(url.host())
    {
        let message = "the client secret would travel unencrypted to `token_url`";
        let help = "write `https://` (RFC 6749 §3.2 asks for it)";
        diagnostics.push(Diagnostic::new(Code::InvalidValue, oauth2.span("token_url"), message).help(help));
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use connector::testing;

    use super::*;

    fn codes(toml: &str) -> Vec<Code> {
        testing::codes(toml, fields::CONNECTOR, connector)
    }

    #[test]
    fn what_fits_is_silent() {
        assert!(codes("url = \"http://h:80/x\"\nusername = \"u\"\npassword = \"p\"").is_empty());
        let oauth2 = "oauth2 = { token_url = \"https://t\", client_id = \"c\", client_secret = \"s\" }";
        assert!(codes(&format!("url = \"https://h\"\n{oauth2}\nheaders = {{ x-key = \"k\" }}")).is_empty());
    }

    #[test]
    fn what_does_not_fit_is_said() {
        assert_eq!(codes("url = \"h:80\""), [Code::InvalidValue]);
        assert_eq!(codes("url = \"http://h\"\npassword = \"p\""), [Code::Conflict]);
        assert_eq!(codes("url = \"http://h\"\nssl = { enable = true }"), [Code::Conflict]);
        assert_eq!(codes("url = \"http://h\"\nheaders = { host = \"x\" }"), [Code::InvalidValue]);
        assert_eq!(codes("url = \"http://h\"\nheaders = { x = \"${y}\" }"), [Code::IneffectiveSetting]);
        let oauth2 = "oauth2 = { token_url = \"http://t\", client_id = \"c\", client_secret = \"s\" }";
        assert_eq!(codes(&format!("url = \"https://h\"\n{oauth2}")), [Code::InvalidValue]);
        assert_eq!(codes("url = \"http://h\"\nconnect_timeout = \"0s\""), [Code::OutOfRange]);
    }
}
