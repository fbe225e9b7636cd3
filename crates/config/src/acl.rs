//! The access list: in a file of its own, or inline in `sluicegate.toml`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use diagnostic::{Code, Diagnostic};
use ipnet::IpNet;
use topic::AccessPattern;

use crate::content::read_file;
use crate::field::{Field, FieldDefault, FieldKind, field};
use crate::folder::{FILE_BYTES_MAX, FileProblem};
use crate::section::{NodeValue, Section, Text, in_order_of_the_file};
use crate::settings::{Settings, check};
use crate::text_file::{decode, without_bom};

/// Who may publish and subscribe to what, and where that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclConfig {
    /// The file that holds it, if one does.
    pub file: Option<PathBuf>,
    /// The list.
    pub acl: Acl,
}

/// A list of access rules: the first that fits decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// The rules, in their order.
    pub rules: Vec<AclRule>,
    /// What holds where none fits.
    pub no_match: Permission,
    /// What happens to a client that does what it may not.
    pub deny_action: DenyAction,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

/// What happens to a client that does what it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyAction {
    /// The acknowledgement says so, as far as the version of the protocol can.
    Ignore,
    /// It is disconnected.
    Disconnect,
}

/// One access rule. Every condition must hold; one that is empty always does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclRule {
    /// What it says.
    pub permission: Permission,
    /// The users it is about.
    pub usernames: Vec<String>,
    /// The client ids it is about.
    pub clientids: Vec<String>,
    /// Where clients come from whom it is about.
    pub networks: Vec<IpNet>,
    /// Whether it is about publishing.
    pub publish: bool,
    /// Whether it is about subscribing.
    pub subscribe: bool,
    /// What it is about. A rule that allows must cover all that a subscription matches; one that denies must only overlap
    /// with it, since otherwise `#` would get around it.
    pub topics: Vec<AccessPattern>,
    /// The levels of QoS it is about, by number.
    pub qos: [bool; 3],
    /// Whether it is about publishes with RETAIN, or those without; `None` for both, and for subscriptions.
    pub retain: Option<bool>,
}

const RULE_FIELDS: &[Field] = &[
    field("permission", FieldKind::OneOf(&["allow", "deny"]), FieldDefault::Required, "What the rule says."),
    field(
        "username",
        FieldKind::StrList,
        FieldDefault::Empty,
        "The users it is about; everybody if left out.",
    ),
    field(
        "clientid",
        FieldKind::StrList,
        FieldDefault::Empty,
        "The client ids it is about; all if left out.",
    ),
    field(
        "ipaddr",
        FieldKind::StrList,
        FieldDefault::Empty,
        "The addresses it is about, as in `10.1.2.3` or `10.0.0.0/8`; all if left out.",
    ),
    field(
        "action",
        FieldKind::OneOf(&["all", "publish", "subscribe"]),
        FieldDefault::Text("all"),
        "What it is about doing.",
    ),
    field(
        "topics",
        FieldKind::StrList,
        FieldDefault::Absent,
        "The topic filters it is about, with `${clientid}` and `${username}`; after `eq ` a filter is taken literally; all if \
         left out.",
    ),
    field(
        "qos",
        FieldKind::Any,
        FieldDefault::Absent,
        "The QoS it is about: `0`, `1`, `2` or a list of them; all if left out.",
    ),
    field(
        "retain",
        FieldKind::Bool,
        FieldDefault::Absent,
        "Whether it is about publishes that are to be retained, or about the others; both if left out.",
    ),
];

const NO_MATCH: Field = field(
    "no_match",
    FieldKind::OneOf(&["allow", "deny"]),
    FieldDefault::Absent,
    "What holds where no rule fits: `deny` if there is a list, and `allow` if there is none.",
);
const DENY_ACTION: Field = field(
    "deny_action",
    FieldKind::OneOf(&["ignore", "disconnect"]),
    FieldDefault::Text("ignore"),
    "What happens to a client that does what it may not: `ignore` only says so in the acknowledgement.",
);
const RULES: Field = field(
    "rules",
    FieldKind::TableList(RULE_FIELDS),
    FieldDefault::Empty,
    "The rules, `[[rules]]` in a file of its own: the first that fits decides.",
);

/// What a file of its own may hold.
pub const ACL_FILE_FIELDS: &[Field] = &[NO_MATCH, DENY_ACTION, RULES];

/// What `[mqtt.acl]` may hold.
pub(crate) const ACL_FIELDS: &[Field] = &[
    field(
        "file",
        FieldKind::Path,
        FieldDefault::Absent,
        "A TOML file with the other settings of this table; read anew when it changes.",
    ),
    NO_MATCH,
    DENY_ACTION,
    RULES,
];

impl AclConfig {
    /// No list: everybody may do everything.
    pub fn open() -> AclConfig {
        AclConfig { file: None, acl: Acl::open() }
    }

    /// Reads a file. The list is whole also when there are problems, but then it is not what was asked for.
    pub fn load(path: &Path) -> (AclConfig, Vec<FileProblem>) {
        let mut diagnostics = Vec::new();
        let (text, not_text) = match read_file(path, FILE_BYTES_MAX) {
            Ok(bytes) => decode(bytes),
            Err(error) => {
                let message = "the access list cannot be read";
                let diagnostic = Diagnostic::new(Code::Unreadable, Default::default(), message);
                (String::new(), Some(diagnostic.note(error.to_string())))
            }
        };
        diagnostics.extend(not_text);
        let section = Section::parse_toml(&without_bom(&text), &mut diagnostics);
        let mut acl = AclConfig { file: None, acl: Acl { no_match: Permission::Deny, ..Acl::open() } };
        if diagnostics.is_empty() {
            let settings =
                check(&section, ACL_FILE_FIELDS, path.parent().unwrap_or(Path::new("")), &mut diagnostics);
            acl = AclConfig::of(&settings, &mut diagnostics);
        }
        in_order_of_the_file(&mut diagnostics);
        let problem = |diagnostic| FileProblem { path: path.to_owned(), text: text.clone(), diagnostic };
        acl.file = Some(path.to_owned());
        (acl, diagnostics.into_iter().map(problem).collect())
    }

    /// The list that settings describe, without a file.
    pub(crate) fn of(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> AclConfig {
        let rules = settings.tables("rules").iter().map(|rule| AclRule::of(rule, diagnostics)).collect();
        let no_match = match settings.opt_one_of("no_match") {
            Some("allow") => Permission::Allow,
            _ => Permission::Deny,
        };
        let deny_action = match settings.one_of("deny_action") {
            "disconnect" => DenyAction::Disconnect,
            _ => DenyAction::Ignore,
        };
        AclConfig { file: None, acl: Acl { rules, no_match, deny_action } }
    }
}

impl Acl {
    /// Everybody may do everything, but publish to `$SYS/…`, which is the server's under any list.
    pub fn open() -> Self {
        Self { rules: Vec::new(), no_match: Permission::Allow, deny_action: DenyAction::Ignore }
    }
}

impl AclRule {
    fn of(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> AclRule {
        let texts = |name| settings.str_list(name).iter().map(|text| text.text.to_owned()).collect();
        let topics = settings.str_list("topics");
        if settings.is_set("topics") && topics.is_empty() {
            let diagnostic =
                Diagnostic::new(Code::InvalidValue, settings.span("topics"), "a rule about no topic at all");
            diagnostics.push(diagnostic.help("leave `topics` out for all topics"));
        }
        let topics = topics.iter().filter_map(|text| pattern(*text, diagnostics)).collect();
        let networks =
            settings.str_list("ipaddr").iter().filter_map(|text| network(*text, diagnostics)).collect();
        let action = settings.one_of("action");
        AclRule {
            permission: match settings.one_of("permission") {
                "allow" => Permission::Allow,
                _ => Permission::Deny,
            },
            usernames: texts("username"),
            clientids: texts("clientid"),
            networks,
            publish: action != "subscribe",
            subscribe: action != "publish",
            topics,
            qos: qos(settings, diagnostics),
            retain: settings.opt_bool("retain"),
        }
    }
}

fn pattern(text: Text<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<AccessPattern> {
    let parsed = AccessPattern::parse(text.text);
    if let Err(error) = &parsed {
        let message = format!("`{}` is no topic filter", text.text);
        diagnostics.push(Diagnostic::new(Code::InvalidValue, text.span, message).help(error.to_string()));
    }
    parsed.ok()
}

fn network(text: Text<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<IpNet> {
    let parsed =
        text.text.parse::<IpNet>().ok().or_else(|| text.text.parse::<IpAddr>().ok().map(IpNet::from));
    if parsed.is_none() {
        let message = format!("`{}` is neither an IP address nor a network", text.text);
        let help = "write it as in `10.1.2.3`, `10.0.0.0/8` or `fd00::/8`";
        diagnostics.push(Diagnostic::new(Code::InvalidValue, text.span, message).help(help));
    }
    parsed
}

fn qos(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> [bool; 3] {
    let Some(node) = settings.node("qos") else { return [true; 3] };
    let mut levels = [false; 3];
    let items = match &node.value {
        NodeValue::List(items) if !items.is_empty() => &items[..],
        _ => std::slice::from_ref(node),
    };
    for item in items {
        match &item.value {
            NodeValue::Int(level @ 0..=2) => levels[*level as usize] = true,
            _ => diagnostics.push(Diagnostic::new(
                Code::InvalidValue,
                item.span,
                "`qos` is 0, 1, 2 or a list of them",
            )),
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> (AclConfig, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acl.toml");
        std::fs::write(&path, text).unwrap();
        let (acl, problems) = AclConfig::load(&path);
        let shown = problems.iter().map(|problem| {
            let at = problem.source().locate(problem.diagnostic.span);
            format!("{}:{}: {} {}", at.line, at.column, problem.diagnostic.code, problem.diagnostic.message)
        });
        (acl, shown.collect())
    }

    #[test]
    fn a_list_is_read() {
        let (acl, problems) = load(
            "deny_action = 'disconnect'\n\
             [[rules]]\npermission = 'allow'\nusername = 'ann'\nipaddr = ['10.0.0.0/8', '::1']\naction = 'publish'\n\
             topics = ['dev/${clientid}/#', 'eq #']\nqos = [0, 1]\nretain = false\n\
             [[rules]]\npermission = 'deny'\n",
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!((acl.acl.deny_action, acl.acl.no_match), (DenyAction::Disconnect, Permission::Deny));
        let [first, last] = &acl.acl.rules[..] else { panic!("{acl:?}") };
        assert_eq!((first.permission, first.publish, first.subscribe), (Permission::Allow, true, false));
        assert_eq!(
            (&first.usernames[..], first.networks.len(), first.topics.len()),
            (&["ann".to_owned()][..], 2, 2)
        );
        assert_eq!((first.qos, first.retain), ([true, true, false], Some(false)));
        assert_eq!(
            (last.permission, last.publish, last.subscribe, last.qos),
            (Permission::Deny, true, true, [true; 3])
        );
    }

    #[test]
    fn mistakes_name_their_place() {
        let (_, problems) = load(
            "no_match = 'maybe'\n[[rules]]\ntopic = 'x'\npermission = 'allow'\ntopics = ['a/#/b', 'ok']\n\
             ipaddr = ['10.0.0.0/40']\nqos = 3\n[[rules]]\ntopics = []\n",
        );
        assert_eq!(
            problems,
            [
                "1:12: E413 `no_match` is one of `allow`, `deny`, not `maybe`",
                "3:1: E401 there is no setting `rules[0].topic`",
                "5:11: E413 `a/#/b` is no topic filter",
                "6:11: E413 `10.0.0.0/40` is neither an IP address nor a network",
                "7:7: E413 `qos` is 0, 1, 2 or a list of them",
                "8:1: E403 `rules[1].permission` is missing",
                "9:10: E413 a rule about no topic at all",
            ]
        );
        assert_eq!(load("[[rules").1.len(), 1);
        let (_, problems) = AclConfig::load(Path::new("/none/such.toml"));
        assert_eq!(problems[0].diagnostic.code, Code::Unreadable);
    }
}
