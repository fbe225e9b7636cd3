//! Messages that may go round for ever, found from the topics alone before the first one does.
//!
//! A rule leads to another if a topic it publishes to may be one the other listens to: here, or by way of a broker that
//! an action publishes to and a source listens at. What a placeholder prints is unknown, but for `${topic}`, which is a
//! topic that the rule listens to. Where a topic may match, it is taken to: so this warns, and never refuses.
//!
//! Places lie between rules: a topic filter that rules listen to, or a source. Each is there once however many rules listen,
//! so that the graph grows with the rules and not with their square.

mod ears;
mod graph;
mod topics;

use std::collections::{BTreeMap, HashMap};

use diagnostic::{Code, Diagnostic, Span};
use eval::FromClass;
use template::Template;

use crate::assemble::Slot;
use crate::loops::ears::Ears;
use crate::loops::graph::{Graph, Ring};
use crate::loops::topics::Topics;
use crate::parse::{Kinds, find_kind};
use crate::unit::{ActionItem, ResourceItem, RuleItem};
use crate::view::{Category, ResourceId};

/// Adds a warning to one rule of every ring.
pub(crate) fn warn(slots: &mut [Slot], kinds: Kinds) {
    let found = Web::of(slots, kinds).warnings();
    for (at, diagnostic) in found {
        slots[at].diagnostics.push(diagnostic);
    }
}

/// Rules, the places between them, and which lead where.
struct Web<'s> {
    rules: Vec<(usize, &'s RuleItem)>,
    inlets: Vec<Inlet<'s>>,
    /// From rules to what they publish, on to filters, from those to rules, or to sources and then to rules.
    graph: Graph,
    /// The vertices between rules that have a name.
    stops: HashMap<usize, Stop<'s>>,
    /// The entry of FROM by which a rule hears what comes by a vertex.
    spans: HashMap<(usize, usize), Span>,
    /// What was looked at to find this.
    steps: usize,
}

/// What lies between two rules.
enum Stop<'s> {
    /// What a rule publishes.
    Topic {
        /// What prints the topic.
        topic: &'s Template,
        /// The action that sends it away from this server, which then cannot tell that it has seen the message before.
        action: Option<&'s ResourceId>,
    },
    /// The source of this number.
    Inlet(usize),
}

/// A source, with what it brings.
struct Inlet<'s> {
    id: &'s ResourceId,
    connector: &'s ResourceId,
    place: String,
    filter: String,
    leaves_out_own: bool,
}

/// The filters of sources: those at one place, apart from those that leave out what their connector has published.
type Abroad<'s> = BTreeMap<(String, Option<&'s ResourceId>), Ears>;

type Resources<'s> = HashMap<(Category, &'s ResourceId), &'s ResourceItem>;

/// What a rule listens to: numbers of filters or of sources, each with its entry of FROM.
type Heard = Vec<(usize, Span)>;

impl<'s> Web<'s> {
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

        let graph = Graph::with_rules(rules.len());
        let (stops, spans) = (HashMap::new(), HashMap::new());
        let mut web = Self { rules, inlets, graph, stops, spans, steps: 0 };
        let mut home = Ears::default();
        let (heard, brought) = web.listening(&mut home);
        home.lay(&mut web.graph);
        let (mut abroad, first_inlet) = web.lay_inlets();
        for rule in 0..web.rules.len() {
            let by_filter = heard[rule].iter().map(|(filter, span)| (home.vertex(*filter), *span));
            let by_source = brought[rule].iter().map(|(inlet, span)| (first_inlet + inlet, *span));
            for (place, span) in by_filter.chain(by_source) {
                web.graph.link(place, rule);
                web.spans.entry((place, rule)).or_insert(span);
            }
        }
        for rule in 0..web.rules.len() {
            let inputs = heard[rule].iter().flat_map(|(filter, _)| home.topics(*filter).to_vec());
            let brought =
                brought[rule].iter().flat_map(|(inlet, _)| Topics::of_filter(&web.inlets[*inlet].filter));
            let inputs: Vec<Topics> = inputs.chain(brought).collect();
            web.publish(rule, &inputs, &mut home, &mut abroad, &resources, kinds);
        }
        web.steps += web.graph.size() + home.steps() + abroad.values().map(Ears::steps).sum::<usize>();
        web
    }

    /// Where each rule listens: to filters, and to sources.
    fn listening(&self, home: &mut Ears) -> (Vec<Heard>, Vec<Heard>) {
        let sources = Sources::of(&self.inlets);
        let listening = self.rules.iter().map(|(_, rule)| {
            let from = rule.program.as_ref().map(|program| program.from()).unwrap_or_default();
            let published = from.iter().filter(|from| from.class == FromClass::Publish);
            let heard = published.map(|from| (home.number(from.filter.as_str()), from.span)).collect();
            (heard, sources.heard_by(from))
        });
        listening.unzip()
    }

    /// Puts the sources into the graph, each behind its filter. Returns the filters, and the vertex of the first source.
    fn lay_inlets(&mut self) -> (Abroad<'s>, usize) {
        let first = self.graph.add(self.inlets.len());
        let mut abroad = Abroad::new();
        let at = |inlet: &Inlet<'s>| (inlet.place.clone(), inlet.leaves_out_own.then_some(inlet.connector));
        for inlet in &self.inlets {
            abroad.entry(at(inlet)).or_default().number(&inlet.filter);
        }
        abroad.values_mut().for_each(|ears| ears.lay(&mut self.graph));
        for (number, inlet) in self.inlets.iter().enumerate() {
            let ears = abroad.entry(at(inlet)).or_default();
            let filter = ears.number(&inlet.filter);
            self.graph.link(ears.vertex(filter), first + number);
            self.stops.insert(first + number, Stop::Inlet(number));
        }
        (abroad, first)
    }

    /// Links a rule to whatever hears what it publishes.
    fn publish(
        &mut self,
        rule: usize,
        inputs: &[Topics],
        home: &mut Ears,
        abroad: &mut Abroad<'s>,
        resources: &Resources<'s>,
        kinds: Kinds,
    ) {
        let (_, item) = self.rules[rule];
        for action in &item.actions {
            let (templates, action) = match action {
                ActionItem::Republish(republish) if !republish.is_direct() => (republish.templates(), None),
                ActionItem::Resource { id, .. } => {
                    let Some(item) = resources.get(&(Category::Action, id)) else { continue };
                    let render = item.render.as_ref();
                    (render.map(|render| render.templates()).unwrap_or_default(), Some(*item))
                }
                ActionItem::Republish(_) | ActionItem::Console => continue,
            };
            for (_, topic) in templates.into_iter().filter(|(setting, _)| *setting == "topic") {
                let published = Topics::of_template(topic, inputs);
                let stop = self.graph.add(1);
                self.graph.link(rule, stop);
                self.stops.insert(stop, Stop::Topic { topic, action: action.map(|action| &action.id) });
                let Some(action) = action else {
                    let hearing = home.hearing(&published, &mut self.graph);
                    self.graph.link(stop, hearing);
                    continue;
                };
                let Some((connector, place)) = reached(action, resources, kinds) else { continue };
                let here = abroad.range_mut((place.clone(), None)..).take_while(|((at, _), _)| *at == place);
                for (_, ears) in here.filter(|((_, own), _)| *own != Some(connector)) {
                    let hearing = ears.hearing(&published, &mut self.graph);
                    self.graph.link(stop, hearing);
                }
            }
        }
    }

    /// One warning for each set of rules that may lead round to each other, at the first of them, with the shortest way.
    fn warnings(mut self) -> Vec<(usize, Diagnostic)> {
        let rings = self.graph.rings(self.rules.len(), &mut self.steps);
        rings.iter().map(|ring| (self.rules[ring[0]].0, self.diagnostic(ring))).collect()
    }

    fn diagnostic(&self, ring: &Ring) -> Diagnostic {
        let (mut way, mut sent, mut leaves) = (Vec::new(), None, false);
        for vertex in ring.iter().chain(&ring[..1]) {
            match self.stops.get(vertex) {
                Some(Stop::Topic { topic, action: None }) => way.push(format!("topic `{topic}`")),
                Some(Stop::Topic { topic, action: Some(action) }) => {
                    way.push(format!("action `{action}`"));
                    (sent, leaves) = (Some(topic), true);
                }
                Some(Stop::Inlet(number)) => {
                    let Inlet { id, place, .. } = &self.inlets[*number];
                    way.extend(sent.map(|topic| format!("`{topic}` at `{place}`")));
                    way.push(format!("source `{id}`"));
                }
                None => way.extend(self.rules.get(*vertex).map(|(_, rule)| format!("`{}`", rule.id))),
            }
        }
        let last = ring.last().and_then(|place| self.spans.get(&(*place, ring[0]))).copied();
        let help = if leaves {
            "give the topics names that do not overlap, or let the source leave out what the connector has published \
             (`no_local`); MQTT 5 ends it after `max_hops` bridges, older versions never"
        } else {
            "each message ends where it has been before (`actions.discarded`); give the topics names that do not overlap if \
             that is not what is meant"
        };
        let message = format!("a message may go round: {}", way.join(" → "));
        Diagnostic::new(Code::MayGoRound, last.unwrap_or_default(), message)
            .label("heard again here")
            .help(help)
    }
}

/// The connector of an action, and the place that it publishes to, if both are known.
fn reached<'s>(
    action: &'s ResourceItem,
    resources: &Resources<'s>,
    kinds: Kinds,
) -> Option<(&'s ResourceId, String)> {
    let (connector, _) = action.connector.as_ref()?;
    let connected = resources.get(&(Category::Connector, connector))?;
    let place = (find_kind(kinds, &connected.id.kind)?.reach.place)(&connected.settings)?;
    Some((connector, place))
}

/// What a source brings, if it is known.
fn inlet<'s>(source: &'s ResourceItem, resources: &Resources<'s>, kinds: Kinds) -> Option<Inlet<'s>> {
    let (connector, _) = source.connector.as_ref().filter(|_| source.category == Category::Source)?;
    let reach = find_kind(kinds, &source.id.kind)?.reach;
    let connected = resources.get(&(Category::Connector, connector))?;
    Some(Inlet {
        id: &source.id,
        connector,
        place: (reach.place)(&connected.settings)?,
        filter: (reach.source_filter)(&source.settings)?,
        leaves_out_own: (reach.leaves_out_own)(&source.settings, &connected.settings),
    })
}

/// Sources by the names under which FROM knows them.
struct Sources<'i> {
    inlets: &'i [Inlet<'i>],
    names: HashMap<String, usize>,
}

impl<'i> Sources<'i> {
    fn of(inlets: &'i [Inlet<'i>]) -> Self {
        let names = inlets.iter().enumerate();
        let names =
            names.flat_map(|(number, inlet)| Self::names_of(inlet).map(|name| (name, number))).collect();
        Self { inlets, names }
    }

    fn names_of(inlet: &Inlet<'_>) -> [String; 2] {
        ["bridges", "sources"].map(|root| format!("${root}/{}", inlet.id))
    }

    /// The sources that some entry of FROM names, each with the first that does.
    fn heard_by(&self, from: &[eval::From]) -> Heard {
        let mut heard = BTreeMap::new();
        for entry in from.iter().filter(|from| from.class == FromClass::Source) {
            let filter = entry.filter.as_str();
            if filter.contains(['+', '#']) {
                let names = |inlet| Self::names_of(inlet).iter().any(|name| topic::matches(filter, name));
                let named = self.inlets.iter().enumerate().filter(|(_, inlet)| names(*inlet));
                named.for_each(|(number, _)| _ = heard.entry(number).or_insert(entry.span));
            } else if let Some(number) = self.names.get(filter) {
                heard.entry(*number).or_insert(entry.span);
            }
        }
        heard.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::SystemTime;

    use config::{ContentHash, FileKind};
    use diagnostic::Source;

    use super::*;
    use crate::assemble::assemble;
    use crate::files::Known;
    use crate::parse::{Text, parse};
    use crate::unit::Unit;
    use crate::view::ManagedBy;

    fn rule(number: usize, from: &str, topic: &str) -> Arc<Unit> {
        let path: Arc<Path> = Path::new(&format!("r{number}.sql")).into();
        let text = format!(
            "--- actions = [{{ function = \"republish\", args = {{ topic = \"{topic}\" }} }}]\nSELECT * FROM \"{from}\"\n"
        );
        let unit = parse(
            Text {
                managed_by: ManagedBy::File(Arc::clone(&path)),
                path,
                kind: FileKind::Rule,
                hash: ContentHash::of(text.as_bytes()),
                source: Source::new("r.sql", text.clone()),
                text,
                diagnostics: Vec::new(),
                modified_at: SystemTime::UNIX_EPOCH,
            },
            &[],
        );
        assert!(!unit.has_errors(), "{:?}", unit.diagnostics);
        Arc::new(unit)
    }

    /// How many rules are warned of, and what was looked at for that.
    fn search(rules: impl Iterator<Item = (String, String)>) -> (usize, usize) {
        let units = rules.enumerate().map(|(number, (from, topic))| rule(number, &from, &topic)).collect();
        let slots = assemble(units, &Known::default());
        let mut web = Web::of(&slots, &[]);
        let found = web.graph.rings(web.rules.len(), &mut web.steps).len();
        (found, web.steps)
    }

    /// What rules listen to and publish, where `N` stands for their number and `NEXT` for that of the next one; and whether
    /// some message may go round.
    const SHAPES: [(&str, &str, bool); 13] = [
        ("in/N/#", "${payload.to}", true),
        ("in/N/#", "${payload.to}/N", true),
        ("in/N", "in/${payload.to}", true),
        ("in/N", "out/${clientid}/N", false),
        ("in/x/N", "out/${clientid}/N", false),
        ("in/+/N", "out/${topic}", false),
        ("in/+/N", "in/${topic}/NEXT", false),
        ("in/+/N", "in/${x}/NEXT", false),
        ("N/in", "NEXT/in", false),
        ("#", "N/${topic}", true),
        // Here nearly every rule leads to every other, by a topic of its own: that is given up in time.
        ("in/dev-N/#", "in/dev-${payload.to}/N", true),
        ("in/N/+", "${clientid}/N", true),
        ("+/N/x", "${a}/N/${b}", true),
    ];

    fn of_shape(number: usize, (from, topic, _): (&str, &str, bool)) -> (String, String) {
        let filled =
            |text: &str| text.replace("NEXT", &(number + 1).to_string()).replace('N', &number.to_string());
        (filled(from), filled(topic))
    }

    #[test]
    fn twice_as_many_rules_take_twice_as_long() {
        for shape in SHAPES {
            let of = |count: usize| search((0..count).map(|number| of_shape(number, shape)));
            let ((rings, fewer), (_, more)) = (of(300), of(600));
            assert_eq!(rings > 0, shape.2, "{shape:?}");
            assert!(more < fewer * 5 / 2, "{shape:?}: {fewer} steps, then {more}");
        }
    }

    #[test]
    fn five_thousand_rules_with_dynamic_topics_are_looked_through() {
        const COUNT: usize = 5_000;
        let (rings, steps) = search((0..COUNT).map(|number| of_shape(number, SHAPES[number % SHAPES.len()])));
        assert!(rings > 0 && steps < 1_000 * COUNT, "{rings} rings in {steps} steps");
    }
}
