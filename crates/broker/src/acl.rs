//! Who may publish and subscribe to what.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::config::acl::{Acl, AclRule, DenyAction, Permission};
use arc_swap::ArcSwap;
use mqtt::QoS;
use topic::{AccessPattern, BoundPattern};

/// The list in force, which can be replaced while clients are connected: what they do next is judged by the new one.
#[derive(Debug)]
pub struct AccessList {
    acl: ArcSwap<Acl>,
    /// Rises with each list, so that a connection sees cheaply that its own rules are outdated.
    generation: AtomicU64,
}

impl AccessList {
    /// With this list.
    pub fn new(acl: Acl) -> Arc<Self> {
        Arc::new(Self { acl: ArcSwap::from_pointee(acl), generation: AtomicU64::new(1) })
    }

    /// Puts another list in its place.
    pub fn replace(&self, acl: Acl) {
        self.acl.store(Arc::new(acl));
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) clientid: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) peername: SocketAddr,
}

/// What a client wants to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access<'a> {
    /// Publish to this topic.
    Publish { topic: &'a str, qos: QoS, retain: bool },
    /// Subscribe to this filter, taken out of `$share/…` where it stood in one.
    Subscribe { filter: &'a str, qos: QoS },
}

/// What the list says, and which part of it: `file` for a rule, `default` where none fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) permission: Permission,
    pub(crate) source: &'static str,
    pub(crate) deny_action: DenyAction,
}

impl Verdict {
    pub(crate) fn is_allowed(self) -> bool {
        self.permission == Permission::Allow
    }
}

/// The rules that are about one client, made once for it and again when the list has changed.
#[derive(Debug)]
pub(crate) struct Permissions {
    generation: u64,
    rules: Vec<Bound>,
    no_match: Permission,
    deny_action: DenyAction,
}

#[derive(Debug)]
struct Bound {
    permission: Permission,
    publish: bool,
    subscribe: bool,
    /// `None` for any.
    topics: Option<Vec<BoundPattern>>,
    qos: [bool; 3],
    retain: Option<bool>,
}

impl Permissions {
    pub(crate) fn of(list: &AccessList, who: &Who<'_>) -> Self {
        let generation = list.generation.load(Ordering::Acquire);
        let acl = list.acl.load();
        let rules = acl.rules.iter().filter_map(|rule| bind(rule, who)).collect();
        Self { generation, rules, no_match: acl.no_match, deny_action: acl.deny_action }
    }

    /// Whether `who`, for whom these were made, may do it. O(rules about it); nothing is allocated while the list stays.
    pub(crate) fn check(&mut self, list: &AccessList, who: &Who<'_>, access: Access<'_>) -> Verdict {
        if list.generation.load(Ordering::Relaxed) != self.generation {
            *self = Self::of(list, who);
        }
        let verdict = |permission, source| Verdict { permission, source, deny_action: self.deny_action };
        if let Access::Publish { topic, .. } = access
            && topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            return verdict(Permission::Deny, "default");
        }
        match self.rules.iter().find(|rule| rule.fits(access)) {
            Some(rule) => verdict(rule.permission, "file"),
            None => verdict(self.no_match, "default"),
        }
    }
}

/// A rule for one client; `None` if it is not about it.
fn bind(rule: &AclRule, who: &Who<'_>) -> Option<Bound> {
    let any_or = |list: &[String], name: Option<&str>| {
        list.is_empty() || name.is_some_and(|name| list.iter().any(|it| it == name))
    };
    let ip: IpAddr = who.peername.ip().to_canonical();
    let is_meant = any_or(&rule.usernames, who.username)
        && any_or(&rule.clientids, Some(who.clientid))
        && (rule.networks.is_empty() || rule.networks.iter().any(|network| network.contains(&ip)));
    let topic = |pattern: &AccessPattern| pattern.bind(who.clientid, who.username);
    is_meant.then(|| Bound {
        permission: rule.permission,
        publish: rule.publish,
        subscribe: rule.subscribe,
        topics: (!rule.topics.is_empty()).then(|| rule.topics.iter().filter_map(topic).collect()),
        qos: rule.qos,
        retain: rule.retain,
    })
}

impl Bound {
    fn fits(&self, access: Access<'_>) -> bool {
        let (is_about, qos) = match access {
            Access::Publish { qos, retain, .. } => {
                (self.publish && self.retain.is_none_or(|wanted| wanted == retain), qos)
            }
            Access::Subscribe { qos, .. } => (self.subscribe, qos),
        };
        let on_topic = |pattern: &BoundPattern| match (access, self.permission) {
            (Access::Publish { topic, .. }, _) => pattern.matches(topic),
            (Access::Subscribe { filter, .. }, Permission::Allow) => pattern.covers(filter),
            (Access::Subscribe { filter, .. }, Permission::Deny) => pattern.overlaps(filter),
        };
        is_about
            && self.qos.get(usize::from(u8::from(qos))).is_some_and(|is_meant| *is_meant)
            && self.topics.as_ref().is_none_or(|patterns| patterns.iter().any(on_topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(permission: Permission, topics: &[&str]) -> AclRule {
        AclRule {
            permission,
            usernames: Vec::new(),
            clientids: Vec::new(),
            networks: Vec::new(),
            publish: true,
            subscribe: true,
            topics: topics.iter().map(|topic| AccessPattern::parse(topic).unwrap()).collect(),
            qos: [true; 3],
            retain: None,
        }
    }

    const WHO: Who<'_> = Who {
        clientid: "c1",
        username: Some("ann"),
        peername: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3)), 9),
    };

    fn publish(topic: &str) -> Access<'_> {
        Access::Publish { topic, qos: QoS::AtLeastOnce, retain: false }
    }

    fn subscribe(filter: &str) -> Access<'_> {
        Access::Subscribe { filter, qos: QoS::AtLeastOnce }
    }

    fn allowed(rules: Vec<AclRule>, access: Access<'_>) -> bool {
        let list =
            AccessList::new(Acl { rules, no_match: Permission::Deny, deny_action: DenyAction::Ignore });
        Permissions::of(&list, &WHO).check(&list, &WHO, access).is_allowed()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = || vec![rule(Permission::Deny, &["a/secret/#"]), rule(Permission::Allow, &["a/#"])];
        assert!(allowed(rules(), publish("a/b")) && !allowed(rules(), publish("a/secret/x")));
        assert!(!allowed(rules(), publish("b")), "no rule fits");
        assert!(allowed(rules(), subscribe("a/b/+")));
        assert!(!allowed(rules(), subscribe("a/#")), "it would also match a/secret");
        assert!(!allowed(rules(), subscribe("#")), "it is more than a/#");
    }

    #[test]
    fn conditions_narrow_a_rule() {
        let about = |change: fn(&mut AclRule)| {
            let mut rule = rule(Permission::Allow, &[]);
            change(&mut rule);
            vec![rule]
        };
        assert!(allowed(about(|rule| rule.usernames = vec!["ann".into(), "bob".into()]), publish("a")));
        assert!(!allowed(about(|rule| rule.usernames = vec!["bob".into()]), publish("a")));
        assert!(!allowed(about(|rule| rule.clientids = vec!["c2".into()]), publish("a")));
        assert!(allowed(about(|rule| rule.networks = vec!["10.0.0.0/8".parse().unwrap()]), publish("a")));
        assert!(!allowed(about(|rule| rule.networks = vec!["10.2.0.0/16".parse().unwrap()]), publish("a")));
        assert!(!allowed(about(|rule| rule.publish = false), publish("a")));
        assert!(!allowed(about(|rule| rule.qos = [true, false, true]), publish("a")));
        assert!(!allowed(about(|rule| rule.retain = Some(true)), publish("a")));
        assert!(allowed(about(|rule| rule.retain = Some(true)), subscribe("a")));
    }

    #[test]
    fn topics_of_the_server_are_its_own_and_a_new_list_counts_at_once() {
        let list = AccessList::new(Acl::open());
        let mut permissions = Permissions::of(&list, &WHO);
        assert!(!permissions.check(&list, &WHO, publish("$SYS/x")).is_allowed());
        assert!(permissions.check(&list, &WHO, publish("$SYSTEM")).is_allowed());
        assert!(permissions.check(&list, &WHO, subscribe("$SYS/#")).is_allowed());
        list.replace(Acl { rules: vec![rule(Permission::Deny, &["${username}/#"])], ..Acl::open() });
        assert!(!permissions.check(&list, &WHO, publish("ann/x")).is_allowed());
        assert!(permissions.check(&list, &WHO, publish("bob/x")).is_allowed());
    }
}
