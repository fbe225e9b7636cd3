//! Messages that may go round for ever, found from the topics alone before the first one does.
//!
//! A rule leads to another if a topic it publishes to may be one the other listens to: here, or by way of a broker that
//! an action publishes to and a source listens at. What a placeholder prints is unknown, but for `${topic}`, which is a
//! topic that the rule listens to. Where a topic may match, it is taken to: so this warns, and never refuses.

use std::collections::{HashMap, VecDeque};

use diagnostic::{Code, Diagnostic, Span};
use eval::FromClass;
use template::{Piece, Template};

use crate::assemble::Slot;
use crate::parse::{Kinds, find_kind};
use crate::unit::{ActionItem, ResourceItem, RuleItem};
use crate::view::{Category, ResourceId};

/// Adds a warning to one rule of every ring.
pub(crate) fn warn(slots: &mut [Slot], kinds: Kinds) {
    let found = Graph::of(slots, kinds).rings();
    for (at, diagnostic) in found {
        slots[at].diagnostics.push(diagnostic);
    }
}

/// Rules, and which may lead to which.
struct Graph<'s> {
    rules: Vec<(usize, &'s RuleItem)>,
    edges: Vec<Vec<Edge>>,
}

struct Edge {
    to: usize,
    /// Where the message goes in between, in words.
    way: String,
    /// Whether it leaves this server, which then cannot tell that it has seen it before.
    leaves: bool,
    /// The entry of FROM that takes it.
    span: Span,
}

/// What a rule listens to, entry by entry.
struct Ear {
    rule: usize,
    span: Span,
    topics: Vec<Topics>,
}

/// A source, with what it brings and to whom.
struct Inlet {
    id: ResourceId,
    connector: ResourceId,
    place: String,
    topics: Vec<Topics>,
    leaves_out_own: bool,
    rules: Vec<(usize, Span)>,
}

impl<'s> Graph<'s> {
    fn of(slots: &'s [Slot], kinds: Kinds) -> Self {
        let in_force =
            || slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.in_force.as_ref()?)));
        let rules: Vec<(usize, &RuleItem)> = in_force()
            .filter_map(|(at, unit)| Some((at, unit.rule()?)))
            .filter(|(_, rule)| rule.enable && rule.program.is_some())
            .collect();
        let resources: HashMap<(Category, &ResourceId), &ResourceItem> = in_force()
            .flat_map(|(_, unit)| unit.resources())
            .filter(|item| item.enable)
            .map(|item| ((item.category, &item.id), item))
            .collect();
        let inlets: Vec<Inlet> =
            resources.values().filter_map(|item| inlet(item, &resources, &rules, kinds)).collect();
        let ears: Vec<Ear> =
            rules.iter().enumerate().flat_map(|(rule, (_, item))| ears(rule, item)).collect();
        let edges = rules.iter().enumerate().map(|(at, (_, rule))| {
            let heard: Vec<&Topics> =
                ears.iter().filter(|ear| ear.rule == at).flat_map(|ear| &ear.topics).collect();
            let brought = inlets.iter().filter(|inlet| inlet.rules.iter().any(|(rule, _)| *rule == at));
            let inputs: Vec<&Topics> =
                heard.into_iter().chain(brought.flat_map(|inlet| &inlet.topics)).collect();
            let mut edges = Vec::new();
            for action in &rule.actions {
                match action {
                    ActionItem::Republish(republish) if !republish.is_direct() => {
                        for (_, topic) in republish.templates().into_iter().filter(is_topic) {
                            local_edges(topic, &inputs, &ears, &mut edges);
                        }
                    }
                    ActionItem::Resource { id, .. } => {
                        remote_edges(id, &inputs, &inlets, &resources, kinds, &mut edges);
                    }
                    ActionItem::Republish(_) | ActionItem::Console => {}
                }
            }
            edges
        });
        let edges = edges.collect();
        Self { rules, edges }
    }

    /// One warning for each set of rules that may lead round to each other, at the first of them, with the shortest way.
    fn rings(&self) -> Vec<(usize, Diagnostic)> {
        let mut told = vec![false; self.rules.len()];
        let mut found = Vec::new();
        for start in 0..self.rules.len() {
            if told[start] {
                continue;
            }
            let Some(ring) = self.shortest_ring(start) else { continue };
            for (from, _) in &ring {
                told[*from] = true;
            }
            found.push((self.rules[start].0, self.diagnostic(&ring)));
        }
        found
    }

    /// The steps of the shortest way from a rule back to it.
    fn shortest_ring(&self, start: usize) -> Option<Vec<(usize, &Edge)>> {
        let mut came_by: HashMap<usize, (usize, &Edge)> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for edge in &self.edges[at] {
                if edge.to == start {
                    let mut ring = vec![(at, edge)];
                    while let Some((from, edge)) = came_by.get(&ring[ring.len() - 1].0) {
                        ring.push((*from, edge));
                    }
                    ring.reverse();
                    return Some(ring);
                }
                came_by.entry(edge.to).or_insert_with(|| {
                    queue.push_back(edge.to);
                    (at, edge)
                });
            }
        }
        None
    }

    fn diagnostic(&self, ring: &[(usize, &Edge)]) -> Diagnostic {
        let name = |at: usize| format!("`{}`", self.rules[at].1.id);
        let mut way = String::new();
        for (from, edge) in ring {
            way.push_str(&format!("{} → {} → ", name(*from), edge.way));
        }
        way.push_str(&name(ring[0].0));
        let last = ring[ring.len() - 1].1;
        let help = if ring.iter().any(|(_, edge)| edge.leaves) {
            "give the topics names that do not overlap, or let the source leave out what the connector has published \
             (`no_local`); MQTT 5 ends it after `max_hops` bridges, older versions never"
        } else {
            "each message ends where it has been before (`actions.discarded`); give the topics names that do not overlap if \
             that is not what is meant"
        };
        Diagnostic::new(Code::MayGoRound, last.span, format!("a message may go round: {way}"))
            .label("heard again here")
            .help(help)
    }
}

/// What a source brings, if it is known.
fn inlet(
    source: &ResourceItem,
    resources: &HashMap<(Category, &ResourceId), &ResourceItem>,
    rules: &[(usize, &RuleItem)],
    kinds: Kinds,
) -> Option<Inlet> {
    let (connector, _) = source.connector.as_ref().filter(|_| source.category == Category::Source)?;
    let reach = find_kind(kinds, &source.id.kind)?.reach;
    let connected = resources.get(&(Category::Connector, connector))?;
    let names = [format!("$bridges/{}", source.id), format!("$sources/{}", source.id)];
    let listens = |(at, rule): (usize, &(usize, &RuleItem))| {
        let from = rule.1.program.as_ref()?.from().iter();
        let heard = |filter: &str| names.iter().any(|name| topic::matches(filter, name));
        let entry = from.into_iter().find(|from| heard(from.filter.as_str()))?;
        Some((at, entry.span))
    };
    Some(Inlet {
        id: source.id.clone(),
        connector: connector.clone(),
        place: (reach.place)(&connected.settings)?,
        topics: Topics::of_filter(&(reach.source_filter)(&source.settings)?),
        leaves_out_own: (reach.leaves_out_own)(&source.settings, &connected.settings),
        rules: rules.iter().enumerate().filter_map(listens).collect(),
    })
}

fn ears(rule: usize, item: &RuleItem) -> Vec<Ear> {
    let from = item.program.as_ref().map(|program| program.from()).unwrap_or_default();
    let published = from.iter().filter(|from| from.class == FromClass::Publish);
    published
        .map(|from| Ear { rule, span: from.span, topics: Topics::of_filter(from.filter.as_str()) })
        .collect()
}

fn local_edges(topic: &Template, inputs: &[&Topics], ears: &[Ear], edges: &mut Vec<Edge>) {
    let published = Topics::of_template(topic, inputs);
    for ear in ears.iter().filter(|ear| overlap(&published, &ear.topics)) {
        edges.push(Edge { to: ear.rule, way: format!("topic `{}`", topic), leaves: false, span: ear.span });
    }
}

fn remote_edges(
    action: &ResourceId,
    inputs: &[&Topics],
    inlets: &[Inlet],
    resources: &HashMap<(Category, &ResourceId), &ResourceItem>,
    kinds: Kinds,
    edges: &mut Vec<Edge>,
) {
    let Some(item) = resources.get(&(Category::Action, action)) else { return };
    let (Some((connector, _)), Some(render)) = (&item.connector, &item.render) else { return };
    let place = resources
        .get(&(Category::Connector, connector))
        .and_then(|connected| (find_kind(kinds, &connected.id.kind)?.reach.place)(&connected.settings));
    let Some(place) = place else { return };
    for (_, topic) in render.templates().into_iter().filter(is_topic) {
        let published = Topics::of_template(topic, inputs);
        for inlet in inlets.iter().filter(|inlet| inlet.place == place && overlap(&published, &inlet.topics))
        {
            if inlet.leaves_out_own && inlet.connector == *connector {
                continue;
            }
            let way = format!("action `{action}` → `{topic}` at `{place}` → source `{}`", inlet.id);
            let edge =
                |(to, span): &(usize, Span)| Edge { to: *to, way: way.clone(), leaves: true, span: *span };
            edges.extend(inlet.rules.iter().map(edge));
        }
    }
}

fn is_topic((setting, _): &(&'static str, &Template)) -> bool {
    *setting == "topic"
}

fn overlap(one: &[Topics], other: &[Topics]) -> bool {
    one.iter().any(|one| other.iter().any(|other| one.meets(other)))
}

/// A set of topics: byte by byte, with gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Topics {
    parts: Vec<Part>,
    /// The first level, where it is known: most sets differ there.
    head: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Byte(u8),
    /// Any text without `/`.
    Level,
    /// Any text.
    Anything,
}

impl Topics {
    /// Placeholders that are filled with more inputs than this may be anything.
    const INPUTS_MAX: usize = 16;

    fn new(parts: Vec<Part>) -> Self {
        let level: Vec<Part> = parts.iter().copied().take_while(|part| *part != Part::Byte(b'/')).collect();
        let byte = |part: &Part| match part {
            Part::Byte(byte) => Some(*byte),
            Part::Level | Part::Anything => None,
        };
        Self { head: level.iter().map(byte).collect(), parts }
    }

    /// What a filter matches: `a/#` is `a` and everything below.
    fn of_filter(filter: &str) -> Vec<Topics> {
        let plain = match topic::Subscription::parse(filter) {
            Ok(subscription) => subscription.filter.as_str().to_owned(),
            Err(_) => return Vec::new(),
        };
        let part = |byte| if byte == b'+' { Part::Level } else { Part::Byte(byte) };
        let parts = |text: &str| text.bytes().map(part).collect::<Vec<_>>();
        match plain.strip_suffix('#') {
            None => vec![Topics::new(parts(&plain))],
            Some(above) => {
                let below = parts(above).into_iter().chain([Part::Anything]).collect();
                let itself = above.strip_suffix('/').map(|above| Topics::new(parts(above)));
                itself.into_iter().chain([Topics::new(below)]).collect()
            }
        }
    }

    /// What a template may print, given the topics of what the rule hears.
    fn of_template(template: &Template, inputs: &[&Topics]) -> Vec<Topics> {
        let is_topic = |piece: &Piece<'_>| matches!(piece, Piece::Name("topic"));
        let filled = template.pieces().filter(is_topic).count() == 1 && inputs.len() <= Self::INPUTS_MAX;
        let anything = Topics::new(vec![Part::Anything]);
        let choices: Vec<&Topics> = if filled { inputs.to_vec() } else { vec![&anything] };
        let with = |choice: &&Topics| {
            let mut parts = Vec::new();
            for piece in template.pieces() {
                match piece {
                    Piece::Text(text) => parts.extend(text.bytes().map(Part::Byte)),
                    Piece::Name("topic") => parts.extend(&choice.parts),
                    Piece::Name(_) | Piece::Other => parts.push(Part::Anything),
                }
            }
            Topics::new(parts)
        };
        choices.iter().map(with).collect()
    }

    /// Whether some topic is in both.
    fn meets(&self, other: &Topics) -> bool {
        if let (Some(one), Some(other)) = (&self.head, &other.head)
            && one != other
        {
            return false;
        }
        let (one, two) = (&self.parts, &other.parts);
        // A wildcard in front matches nothing that begins with a dollar sign (MQTT 5.0 §4.7.2).
        if let (Some(Part::Byte(b'$')), Some(Part::Level | Part::Anything))
        | (Some(Part::Level | Part::Anything), Some(Part::Byte(b'$'))) = (one.first(), two.first())
        {
            return false;
        }
        let width = two.len() + 1;
        let mut seen = vec![false; (one.len() + 1) * width];
        let mut open = vec![(0, 0)];
        while let Some((i, j)) = open.pop() {
            if std::mem::replace(&mut seen[i * width + j], true) {
                continue;
            }
            let (a, b) = (one.get(i).copied(), two.get(j).copied());
            let gap = |part: Option<Part>| matches!(part, Some(Part::Level | Part::Anything));
            match (a, b) {
                (None, None) => return true,
                // A gap may be empty, and may take what the other has.
                _ if gap(a) || gap(b) => {
                    if gap(a) {
                        open.push((i + 1, j));
                    }
                    if gap(b) {
                        open.push((i, j + 1));
                    }
                    let takes = |gap: Part, other: Part| gap == Part::Anything || other != Part::Byte(b'/');
                    if let (Some(a), Some(Part::Byte(_))) = (a, b)
                        && takes(a, two[j])
                    {
                        open.push((i, j + 1));
                    }
                    if let (Some(Part::Byte(_)), Some(b)) = (a, b)
                        && takes(b, one[i])
                    {
                        open.push((i + 1, j));
                    }
                }
                (Some(a), Some(b)) if a == b => open.push((i + 1, j + 1)),
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(template: &str, heard: &str, filter: &str) -> bool {
        let (template, diagnostics) = Template::parse(template);
        assert!(diagnostics.is_empty());
        let inputs = Topics::of_filter(heard);
        let published = Topics::of_template(&template, &inputs.iter().collect::<Vec<_>>());
        overlap(&published, &Topics::of_filter(filter))
    }

    #[test]
    fn topics_meet_where_some_topic_is_both() {
        for (template, heard, filter) in [
            ("a/b", "x", "a/+"),
            ("a/b", "x", "#"),
            ("a", "x", "a/#"),
            ("a/${id}", "x", "a/b/c"),
            ("${topic}", "a/+", "a/b"),
            ("sub/${topic}", "#", "sub/#"),
            ("${a}/x/${b}", "x", "+/x/#"),
            ("a/${x}", "x", "$share/g/a/+"),
            ("p${x}q/r", "x", "+/r"),
        ] {
            assert!(meet(template, heard, filter), "{template} from {heard}, {filter}");
        }
        for (template, heard, filter) in [
            ("a/b", "x", "a/b/+"),
            ("alarm/${clientid}", "x", "temp_hum/#"),
            ("sub/${topic}", "t/#", "t/#"),
            ("plant/${line}/sensor/${id}", "plant/+/batch", "plant/+/batch"),
            ("a//b", "x", "a/+"),
            ("${x}", "x", "$SYS/#"),
            ("$x/y", "x", "+/y"),
            ("p${x}/a", "x", "q/+"),
        ] {
            assert!(!meet(template, heard, filter), "{template} from {heard}, {filter}");
        }
    }
}
