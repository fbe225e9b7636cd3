//! Messages that may go round for ever, found from the topics alone before the first one does.
//!
//! A rule leads to another if a topic it publishes to may be one the other listens to: here, or by way of a broker that
//! an action publishes to and a source listens at. What a placeholder prints is unknown, but for `${topic}`, which is a
//! topic that the rule listens to. Where a topic may match, it is taken to: so this warns, and never refuses.

//!
//! Places lie between rules: a topic filter that rules listen to, or a source. Each is there once however many rules listen,
//! so that the graph grows with the rules and not with their square.

mod ears;
mod topics;

use std::collections::{HashMap, HashSet, VecDeque};

use diagnostic::{Code, Diagnostic, Span};
use eval::FromClass;
use template::Template;

use crate::assemble::Slot;
use crate::loops::ears::Ears;
use crate::loops::topics::{Topics, overlap};
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

/// Rules, the places between them, and which lead where.
struct Graph<'s> {
    rules: Vec<(usize, &'s RuleItem)>,
    /// Who listens at each place: the rule, and its entry of FROM. Filters come first, sources behind them.
    listeners: Vec<Vec<(usize, Span)>>,
    /// Where each rule publishes.
    edges: Vec<Vec<Edge<'s>>>,
    filters: usize,
    inlets: Vec<Inlet<'s>>,
}

/// From a rule to a place.
#[derive(Clone, Copy)]
struct Edge<'s> {
    place: usize,
    /// What prints the topic.
    topic: &'s Template,
    /// The action that sends it away from this server, which then cannot tell that it has seen the message before.
    action: Option<&'s ResourceId>,
}

/// A step of a ring: from a rule by an edge to the entry of FROM of the next.
type Step<'s> = (usize, Edge<'s>, Span);

/// A source, with what it brings.
struct Inlet<'s> {
    id: &'s ResourceId,
    connector: &'s ResourceId,
    place: String,
    topics: Vec<Topics>,
    leaves_out_own: bool,
}

type Resources<'s> = HashMap<(Category, &'s ResourceId), &'s ResourceItem>;

impl<'s> Graph<'s> {
    fn of(slots: &'s [Slot], kinds: Kinds) -> Self {
        let in_force =
            || slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.in_force.as_ref()?)));
        let rules: Vec<(usize, &RuleItem)> = in_force()
            .filter_map(|(at, unit)| Some((at, unit.rule()?)))
            .filter(|(_, rule)| rule.enable && rule.program.is_some())
            .collect();
        let resources: Resources<'s> = in_force()
            .flat_map(|(_, unit)| unit.resources())
            .filter(|item| item.enable)
            .map(|item| ((item.category, &item.id), item))
            .collect();
        let mut inlets: Vec<Inlet<'_>> =
            resources.values().filter_map(|item| inlet(item, &resources, kinds)).collect();
        inlets.sort_by_key(|inlet| inlet.id);

        let mut ears = Ears::default();
        // For each rule, where it listens.
        let mut heard: Vec<Vec<(usize, Span)>> = Vec::with_capacity(rules.len());
        let mut brought: Vec<Vec<(usize, Span)>> = Vec::with_capacity(rules.len());
        for (_, rule) in &rules {
            let from = rule.program.as_ref().map(|program| program.from()).unwrap_or_default();
            let published = from.iter().filter(|from| from.class == FromClass::Publish);
            heard.push(published.map(|from| (ears.number(from.filter.as_str()), from.span)).collect());
            brought.push(sources_of(from, &inlets));
        }
        let filters = ears.len();
        let mut listeners = vec![Vec::new(); filters + inlets.len()];
        for (rule, (heard, brought)) in heard.iter().zip(&brought).enumerate() {
            heard.iter().for_each(|(place, span)| listeners[*place].push((rule, *span)));
            brought.iter().for_each(|(inlet, span)| listeners[filters + inlet].push((rule, *span)));
        }
        let mut graph = Self { rules, listeners, edges: Vec::new(), filters, inlets };
        for (rule, (heard, brought)) in heard.iter().zip(&brought).enumerate() {
            let edges = graph.edges_of(rule, heard, brought, &mut ears, &resources, kinds);
            graph.edges.push(edges);
        }
        graph
    }

    /// Where a rule publishes.
    fn edges_of(
        &self,
        rule: usize,
        heard: &[(usize, Span)],
        brought: &[(usize, Span)],
        ears: &mut Ears<'s>,
        resources: &Resources<'s>,
        kinds: Kinds,
    ) -> Vec<Edge<'s>> {
        let mut edges = Vec::new();
        for action in &self.rules[rule].1.actions {
            let (templates, action) = match action {
                ActionItem::Republish(republish) if !republish.is_direct() => (republish.templates(), None),
                ActionItem::Resource { id, .. } => {
                    let item = resources.get(&(Category::Action, id));
                    let render = item.and_then(|item| item.render.as_ref());
                    (render.map(|render| render.templates()).unwrap_or_default(), item.copied())
                }
                ActionItem::Republish(_) | ActionItem::Console => continue,
            };
            for (_, topic) in templates.into_iter().filter(|(setting, _)| *setting == "topic") {
                let inputs: Vec<&Topics> = heard
                    .iter()
                    .flat_map(|(ear, _)| ears.topics(*ear))
                    .chain(brought.iter().flat_map(|(inlet, _)| &self.inlets[*inlet].topics))
                    .collect();
                let published = Topics::of_template(topic, &inputs);
                match action {
                    None => {
                        let places = ears.hearing(&published).into_iter();
                        edges.extend(places.map(|place| Edge { place, topic, action: None }));
                    }
                    Some(item) => self.remote_edges(item, topic, &published, resources, kinds, &mut edges),
                }
            }
        }
        edges
    }

    fn remote_edges(
        &self,
        action: &'s ResourceItem,
        topic: &'s Template,
        published: &[Topics],
        resources: &Resources<'s>,
        kinds: Kinds,
        edges: &mut Vec<Edge<'s>>,
    ) {
        let Some((connector, _)) = &action.connector else { return };
        let connected = resources.get(&(Category::Connector, connector));
        let place = connected
            .and_then(|connected| (find_kind(kinds, &connected.id.kind)?.reach.place)(&connected.settings));
        for (at, inlet) in self.inlets.iter().enumerate() {
            let own = inlet.leaves_out_own && inlet.connector == connector;
            if Some(&inlet.place) == place.as_ref() && !own && overlap(published, &inlet.topics) {
                edges.push(Edge { place: self.filters + at, topic, action: Some(&action.id) });
            }
        }
    }

    /// One warning for each set of rules that may lead round to each other, at the first of them, with the shortest way.
    fn rings(&self) -> Vec<(usize, Diagnostic)> {
        let mut told = vec![false; self.rules.len()];
        let mut found = Vec::new();
        let mut budget = STEPS_MAX;
        for start in 0..self.rules.len() {
            if told[start] || self.edges[start].is_empty() {
                continue;
            }
            let Some(ring) = self.shortest_ring(start, &mut budget) else { continue };
            for (from, ..) in &ring {
                told[*from] = true;
            }
            found.push((self.rules[start].0, self.diagnostic(&ring)));
        }
        found
    }

    /// The steps of the shortest way from a rule back to it.
    fn shortest_ring(&self, start: usize, budget: &mut usize) -> Option<Vec<Step<'s>>> {
        let mut came_by: HashMap<usize, Step<'s>> = HashMap::new();
        let mut seen = HashSet::new();
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for edge in self.edges[at].iter().filter(|edge| seen.insert(edge.place)) {
                let listeners = &self.listeners[edge.place];
                // They are in the order of the rules.
                if let Ok(back) = listeners.binary_search_by_key(&start, |(rule, _)| *rule) {
                    let mut ring = vec![(at, *edge, listeners[back].1)];
                    while let Some(step) = came_by.get(&ring[ring.len() - 1].0) {
                        ring.push(*step);
                    }
                    ring.reverse();
                    return Some(ring);
                }
                *budget = budget.checked_sub(listeners.len())?;
                for (to, span) in listeners {
                    came_by.entry(*to).or_insert_with(|| {
                        queue.push_back(*to);
                        (at, *edge, *span)
                    });
                }
            }
        }
        None
    }

    fn diagnostic(&self, ring: &[Step<'s>]) -> Diagnostic {
        let name = |at: usize| format!("`{}`", self.rules[at].1.id);
        let mut way = String::new();
        for (from, edge, _) in ring {
            way.push_str(&format!("{} → {} → ", name(*from), self.way(edge)));
        }
        way.push_str(&name(ring[0].0));
        let last = ring[ring.len() - 1].2;
        let help = if ring.iter().any(|(_, edge, _)| edge.action.is_some()) {
            "give the topics names that do not overlap, or let the source leave out what the connector has published \
             (`no_local`); MQTT 5 ends it after `max_hops` bridges, older versions never"
        } else {
            "each message ends where it has been before (`actions.discarded`); give the topics names that do not overlap if \
             that is not what is meant"
        };
        Diagnostic::new(Code::MayGoRound, last, format!("a message may go round: {way}"))
            .label("heard again here")
            .help(help)
    }

    /// Where the message goes in between, in words.
    fn way(&self, edge: &Edge<'_>) -> String {
        let topic = edge.topic;
        match edge.action {
            None => format!("topic `{topic}`"),
            Some(action) => {
                let Inlet { id, place, .. } = &self.inlets[edge.place - self.filters];
                format!("action `{action}` → `{topic}` at `{place}` → source `{id}`")
            }
        }
    }
}

/// Rules that the search for rings visits at most, so that a warning does not take minutes where every rule leads to every
/// other.
const STEPS_MAX: usize = 20_000_000;

/// What a source brings, if it is known.
fn inlet<'s>(source: &'s ResourceItem, resources: &Resources<'s>, kinds: Kinds) -> Option<Inlet<'s>> {
    let (connector, _) = source.connector.as_ref().filter(|_| source.category == Category::Source)?;
    let reach = find_kind(kinds, &source.id.kind)?.reach;
    let connected = resources.get(&(Category::Connector, connector))?;
    Some(Inlet {
        id: &source.id,
        connector,
        place: (reach.place)(&connected.settings)?,
        topics: Topics::of_filter(&(reach.source_filter)(&source.settings)?),
        leaves_out_own: (reach.leaves_out_own)(&source.settings, &connected.settings),
    })
}

/// The sources that some entry of FROM names, each with the first that does.
fn sources_of(from: &[eval::From], inlets: &[Inlet<'_>]) -> Vec<(usize, Span)> {
    let entries: Vec<&eval::From> = from.iter().filter(|from| from.class == FromClass::Source).collect();
    if entries.is_empty() {
        return Vec::new();
    }
    let listens = |(at, inlet): (usize, &Inlet<'_>)| {
        let names = [format!("$bridges/{}", inlet.id), format!("$sources/{}", inlet.id)];
        let heard = |filter: &str| names.iter().any(|name| topic::matches(filter, name));
        let entry = entries.iter().find(|from| heard(from.filter.as_str()))?;
        Some((at, entry.span))
    };
    inlets.iter().enumerate().filter_map(listens).collect()
}
