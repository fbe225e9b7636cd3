//! The first screen: what listens, what runs, what to type next.

use std::fmt::Write as _;
use std::net::SocketAddr;

use engine::RuleView;

/// What the first screen shows.
pub(crate) struct Screen<'a> {
    pub(crate) version: &'a str,
    pub(crate) node: &'a str,
    /// Where clients connect, as they write it.
    pub(crate) listeners: Vec<String>,
    /// The one that the commands to try are for.
    pub(crate) plain: Option<SocketAddr>,
    /// The broker of local topics, where there is none of ours.
    pub(crate) local: Option<&'a str>,
    pub(crate) http: SocketAddr,
    pub(crate) dirs: String,
    pub(crate) rules: &'a [RuleView],
}

/// Rules that the screen names; further ones are counted.
const RULES_SHOWN: usize = 12;

impl Screen<'_> {
    /// The text, with a line end.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("\nsluicegate {} on {}\n\n", self.version, self.node);
        for listener in &self.listeners {
            let _ = writeln!(text, "  MQTT   {listener}");
        }
        if let Some(local) = self.local {
            let _ = writeln!(text, "  MQTT   local topics on {local}");
        }
        let _ =
            writeln!(text, "  HTTP   http://{}   (API under /api/v5, metrics under /metrics)\n", self.http);
        self.rules(&mut text);
        self.next(&mut text);
        text
    }

    fn rules(&self, text: &mut String) {
        let running = self.rules.iter().filter(|rule| rule.runs).count();
        let broken = self.rules.iter().filter(|rule| !rule.errors.is_empty()).count();
        let _ = match (self.rules.len(), running) {
            (0, _) => {
                writeln!(text, "  No rules yet in {}: put a `.sql` file there, it runs at once.", self.dirs)
            }
            (_, 0) => writeln!(text, "  No rule runs, of those in {}:", self.dirs),
            (_, 1) => writeln!(text, "  1 rule runs, from {}:", self.dirs),
            (_, count) => writeln!(text, "  {count} rules run, from {}:", self.dirs),
        };
        let width = self.rules.iter().take(RULES_SHOWN).map(|rule| rule.id.len()).max().unwrap_or(0);
        for rule in self.rules.iter().take(RULES_SHOWN) {
            let state = match (rule.runs, rule.errors.is_empty(), rule.enable) {
                (false, false, _) => "  (does not run: it has an error)",
                (true, false, _) => "  (has an error)",
                (_, true, false) => "  (disabled)",
                (_, true, true) => "",
            };
            let _ = writeln!(text, "    {:width$}  {}{state}", rule.id, rule.from.join(", "));
        }
        if self.rules.len() > RULES_SHOWN {
            let _ = writeln!(text, "    … and {} more", self.rules.len() - RULES_SHOWN);
        }
        if broken > 0 {
            let _ = writeln!(text, "  {broken} with an error: `sluicegate check` shows where.");
        }
    }

    fn next(&self, text: &mut String) {
        let Some(plain) = self.plain else { return text.push('\n') };
        let (host, port) = (plain.ip(), plain.port());
        let address = match (host.is_loopback() || host.is_unspecified(), port) {
            (true, 1883) => String::new(),
            (true, port) => format!("-p {port} "),
            (false, port) => format!("-h {host} -p {port} "),
        };
        let _ = write!(
            text,
            "\n  Try it:\n    mosquitto_sub {address}-t 'alarm/#' -v\n    mosquitto_pub {address}-i boiler -t temp_hum/boiler -m '{{\"temp\": 31.5}}'\n\n"
        );
    }
}
