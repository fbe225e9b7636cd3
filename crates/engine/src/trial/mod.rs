//! Rules tried on the cases that stand beside them, with nothing running.
//!
//! A [`Folder`] is read as a server would read it. A [`Case`] runs the rule's program on its context and renders every
//! row with the code of the live path; what would be sent is compared and goes nowhere.

mod compare;
mod coverage;
mod file;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connector::{Render, Row};
use diagnostic::{Code, Diagnostic, Severity, Source, Span};
use eval::test::{Context, NoMatch, Outcome, Setting};
use eval::{Program, Reason, Surroundings, Worker};
use event::{Column, Event, Properties};
use serde_json::Value as Json;
use value::Arena;

use crate::assemble::{Slot, assemble};
use crate::files::{Known, read_folders};
use crate::loops;
use crate::parse::Kinds;
use crate::republish::Republish;
use crate::rule::RowScope;
use crate::unit::{ActionItem, RuleItem};
use crate::view::{Category, Finding, ResourceId};

pub use compare::Difference;
pub use coverage::{Coverage, Missed};
pub use file::{CASE_FIELDS, FILE_FIELDS, PUBLISH_FIELDS};

/// What the rules folders hold, read as a server reads them at its start.
pub struct Folder {
    slots: Vec<Slot>,
    tests: Vec<TestFile>,
}

/// A test file: the cases of one rule.
pub struct TestFile {
    rule: Arc<str>,
    source: Arc<Source>,
    diagnostics: Vec<Diagnostic>,
    /// What is wrong with the rule.
    rule_errors: Vec<Finding>,
    cases: Vec<Case>,
}

/// One case of a test file.
pub struct Case {
    name: String,
    span: Span,
    /// JSON.
    context: String,
    now_ms: i64,
    seed: u64,
    expected: Expected,
    /// What the actions are to send; `None` where the case does not say.
    publishes: Option<Vec<ExpectedPublish>>,
    /// Absent where the rule has errors.
    rule: Option<Arc<TriedRule>>,
}

/// What a case expects of its rule.
enum Expected {
    /// The row, or the rows of a FOREACH.
    Output(Json),
    /// That the message is not let through.
    NoMatch,
    /// That the evaluation fails, with a message that has this part.
    Error(String),
    /// Any output, since only what is sent matters.
    AnyOutput,
}

/// What a case expects an action to send.
struct ExpectedPublish {
    action: String,
    /// The parts that are compared.
    parts: serde_json::Map<String, Json>,
    /// That it cannot be sent, with a reason that has this part.
    error: Option<String>,
}

/// What an action would send, or why it cannot.
struct Published {
    action: String,
    request: Result<Json, String>,
}

/// A rule with what is needed to try it.
struct TriedRule {
    id: Arc<str>,
    sql: Box<str>,
    /// Where the SQL begins in the file.
    base: u32,
    program: Arc<Program>,
    source: Arc<Source>,
    actions: Vec<Action>,
}

/// An action that sends.
enum Action {
    Declared { id: String, render: Arc<dyn Render> },
    Republish(Arc<Republish>),
}

/// How republish is called in `publishes`.
const REPUBLISH: &str = "republish";

/// The name of the node that a trial takes place on.
const NODE: &str = "sluicegate@127.0.0.1";

/// Why a case failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What is wrong, in one line.
    pub message: String,
    /// Where what came is not what was expected.
    pub differences: Vec<Difference>,
    /// The place in the rule, where the evaluation failed unexpectedly.
    pub place: Option<Box<Finding>>,
}

impl Folder {
    /// Reads the folders. Blocks: touches the disk and compiles SQL.
    ///
    /// A secret that cannot be read here is a warning, since the server may find it where it runs.
    pub fn read(dirs: &[PathBuf], kinds: Kinds) -> Self {
        let (mut units, tests) = read_folders(dirs, kinds);
        for unit in units.iter_mut().filter_map(Arc::get_mut) {
            for diagnostic in &mut unit.diagnostics {
                if diagnostic.code == Code::SecretUnreadable {
                    diagnostic.severity = Severity::Warning;
                }
            }
        }
        let mut slots = assemble(units, &Known::default());
        loops::warn(&mut slots, kinds);
        let rules = Rules::of(&slots);
        let tests = tests.iter().map(|test| TestFile::new(test, &rules)).collect();
        Self { slots, tests }
    }

    /// Everything that is wrong with the files, test files included.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.slots.iter().flat_map(Slot::findings).collect();
        findings.extend(self.tests.iter().flat_map(TestFile::findings));
        findings
    }

    /// What the reference would refuse in the SQL of the rules, though it is fine here.
    pub fn portability(&self) -> Vec<Finding> {
        let rules = self.slots.iter().filter_map(|slot| Some((slot, slot.newest.rule()?)));
        let notes = rules.flat_map(|(slot, rule)| {
            let source = &slot.newest.source;
            let notes = eval::portability(slot.newest.sql(rule), rule.id_span.start).into_iter();
            notes.map(|diagnostic| Finding::new(Arc::clone(source), diagnostic))
        });
        notes.collect()
    }

    /// The folders and files, test files among them, that could not be read.
    pub fn unreadable(&self) -> Vec<Finding> {
        self.slots.iter().filter(|slot| slot.newest.hash.is_none()).flat_map(Slot::errors).collect()
    }

    /// What the cases that were run so far have reached of every rule, in the order of the rules' paths.
    pub fn coverage(&self) -> Vec<Coverage> {
        let mut tests: HashMap<&str, &TestFile> = HashMap::new();
        self.tests.iter().for_each(|test| _ = tests.entry(test.rule()).or_insert(test));
        let rules = self.slots.iter().filter_map(|slot| Some((slot, slot.newest.rule()?)));
        let coverage = rules.filter_map(|(slot, rule)| {
            let tests = tests.get(&*rule.id);
            tests.and_then(|tests| tests.coverage()).or_else(|| Coverage::untried(slot, rule))
        });
        coverage.collect()
    }

    /// The test files, in the order of their paths.
    pub fn tests(&self) -> &[TestFile] {
        &self.tests
    }
}

/// What test files look up in their folder, found once for all of them.
struct Rules<'s> {
    by_path: HashMap<&'s Path, &'s Slot>,
    /// The first of each id.
    by_id: BTreeMap<&'s str, &'s Path>,
    /// The declared actions that are enabled.
    renders: HashMap<&'s ResourceId, &'s Arc<dyn Render>>,
    /// How often all ids were looked through for one that is near.
    searches: Cell<usize>,
}

/// Test files without a rule for which one is looked for that is near: whoever has more has a folder too few, and holding
/// each against each would take a while.
const SEARCHES_MAX: usize = 100;

impl<'s> Rules<'s> {
    fn of(slots: &'s [Slot]) -> Self {
        let by_path = slots.iter().map(|slot| (&*slot.newest.path, slot)).collect();
        let mut by_id = BTreeMap::new();
        for slot in slots {
            if let Some(rule) = slot.newest.rule() {
                by_id.entry(&*rule.id).or_insert(&*slot.newest.path);
            }
        }
        let items = slots.iter().filter_map(|slot| slot.in_force.as_ref()).flat_map(|unit| unit.resources());
        let actions = items.filter(|item| item.category == Category::Action && item.enable);
        let renders = actions.filter_map(|item| Some((&item.id, item.render.as_ref()?))).collect();
        Self { by_path, by_id, renders, searches: Cell::new(0) }
    }

    /// Says that there is no rule of this id at this path.
    fn missing(&self, id: &str, beside: &Path) -> Diagnostic {
        let elsewhere = self.by_id.get(id).map(|path| {
            format!("`{}` has a rule of this id: test files stand in the same folder", path.display())
        });
        let near = || {
            self.searches.set(self.searches.get() + 1);
            let names = self.by_id.keys().copied();
            (self.searches.get() <= SEARCHES_MAX).then(|| diagnostic::did_you_mean(id, names))?
        };
        let message = format!("there is no rule `{id}`: `{}` is not there", beside.display());
        Diagnostic::new(Code::UnknownRule, Span::at(0), message).maybe_help(elsewhere.or_else(near))
    }

    fn actions(&self, rule: &RuleItem) -> Vec<Action> {
        let sends = rule.actions.iter().filter_map(|action| match action {
            ActionItem::Resource { id, .. } => {
                Some(Action::Declared { id: id.to_string(), render: Arc::clone(self.renders.get(id)?) })
            }
            ActionItem::Republish(republish) => Some(Action::Republish(Arc::clone(republish))),
            ActionItem::Console => None,
        });
        sends.collect()
    }
}

impl TestFile {
    fn new(file: &config::File, rules: &Rules<'_>) -> Self {
        let mut diagnostics = Vec::new();
        let beside = file.path.with_file_name(format!("{}.sql", file.stem()));
        let slot = rules.by_path.get(&*beside);
        let (rule, rule_errors) = match slot {
            Some(slot) => (TriedRule::of(slot, rules).map(Arc::new), slot.errors()),
            None => {
                diagnostics.push(rules.missing(file.stem(), &beside));
                (None, Vec::new())
            }
        };
        let item = slot.and_then(|slot| slot.newest.rule());
        let cases = file::parse(&file.text, file.dir(), item, rule.as_ref(), &mut diagnostics);
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        let sound = !diagnostics.iter().any(Diagnostic::is_error);
        Self {
            rule: file.stem().into(),
            source: Arc::new(file.source()),
            diagnostics,
            rule_errors,
            cases: if sound { cases } else { Vec::new() },
        }
    }

    /// The id of the rule.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What the cases that were run so far have reached of the rule; `None` where no case can be run.
    pub fn coverage(&self) -> Option<Coverage> {
        let rule = self.cases.first()?.rule.as_ref()?;
        Some(Coverage::of(&rule.id, &rule.source, &rule.program))
    }

    /// The file.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The cases; none where the file has an error.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The errors, of this file and of its rule, that keep the cases from being tried.
    pub fn errors(&self) -> Vec<Finding> {
        let own = self.findings().filter(|finding| finding.diagnostic.is_error());
        own.chain(self.rule_errors.iter().cloned()).collect()
    }

    fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        let finding = |diagnostic: &Diagnostic| Finding::new(Arc::clone(&self.source), diagnostic.clone());
        self.diagnostics.iter().map(finding)
    }
}

impl TriedRule {
    /// The rule of a file; `None` where it has errors.
    fn of(slot: &Slot, rules: &Rules<'_>) -> Option<Self> {
        let unit = slot.in_force.as_ref()?;
        let rule = unit.rule()?;
        // What runs on messages watches nothing, and does the same.
        let (program, _) = eval::prepare_watched(unit.sql(rule), rule.id_span.start, &rule.id);
        let program = Arc::new(program?);
        let actions = rules.actions(rule);
        let (sql, base) = (unit.sql(rule).into(), rule.id_span.start);
        Some(Self { id: Arc::clone(&rule.id), sql, base, program, source: Arc::clone(&unit.source), actions })
    }

    /// Which part of WHERE is false for a message that it does not let through.
    fn why_filtered(&self, context: &Context<'_>, setting: &Setting<'_>) -> String {
        let surroundings = Surroundings::default();
        let reasons = eval::test::why_filtered(&self.sql, self.base, context, setting, &surroundings);
        Reason::describe_all(&reasons, self.source.text())
    }
}

impl Case {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands in its file.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Tries the rule on the context. The same case gives the same whenever and wherever it is tried: the clock and the
    /// random numbers are its own, and nothing is kept from one case to the next.
    pub fn run(&self) -> Result<(), Failure> {
        let Some(rule) = &self.rule else {
            return Err(Failure::of("the rule has errors"));
        };
        let setting = Setting { now_ms: self.now_ms, node: NODE, seed: self.seed };
        let arena = Arena::new();
        let context = Context::parse(self.context.as_bytes(), &setting, &arena)
            .map_err(|error| Failure::of(error.to_string()))?;
        let mut worker = Worker::new(Arc::new(Surroundings::default()), self.seed);
        let mut published = Vec::new();
        let send = |row: &eval::Row<'_>, event: &Event<'_>, arena: &Arena| {
            rule.act(row, event, arena, &mut published)
        };
        let outcome = eval::test::run_rows(&rule.program, &context, &setting, &mut worker, send);
        self.judge(rule, &outcome, &published, || rule.why_filtered(&context, &setting))
    }

    fn judge(
        &self,
        rule: &TriedRule,
        outcome: &Outcome,
        published: &[Published],
        why_filtered: impl Fn() -> String,
    ) -> Result<(), Failure> {
        let found = match outcome {
            Outcome::Output(json) => Ok(serde_json::from_slice::<Json>(json).unwrap_or_default()),
            Outcome::NoMatch(NoMatch::Topic) => Err("no match: nothing in FROM lets this message in".into()),
            Outcome::NoMatch(NoMatch::Condition) if matches!(self.expected, Expected::NoMatch) => {
                Err(String::new())
            }
            Outcome::NoMatch(NoMatch::Condition) => Err(format!("no match: {}", why_filtered())),
            Outcome::Error(error) => Err(format!("an error: {error}")),
        };
        match (&self.expected, outcome, found) {
            (Expected::Output(expected), _, Ok(found)) => {
                let mut differences = compare::differences("output", expected, &found);
                differences.extend(self.compare_publishes(published));
                Failure::of_differences(differences)
            }
            (Expected::AnyOutput, _, Ok(_)) => Failure::of_differences(self.compare_publishes(published)),
            (Expected::NoMatch, Outcome::NoMatch(_), _) => Ok(()),
            (Expected::Error(part), Outcome::Error(error), _) if error.to_string().contains(part) => Ok(()),
            (expected, Outcome::Error(error), _) => {
                let message = format!("expected {expected}, found an error: {error}");
                let place = Finding::new(Arc::clone(&rule.source), error.to_diagnostic());
                Err(Failure { place: Some(Box::new(place)), ..Failure::of(message) })
            }
            (expected, _, Ok(output)) => {
                let found = Difference { path: "output".to_owned(), expected: None, found: Some(output) };
                let message = format!("expected {expected}, found an output");
                Err(Failure { differences: vec![found], ..Failure::of(message) })
            }
            (expected, _, Err(found)) => Err(Failure::of(format!("expected {expected}, found {found}"))),
        }
    }

    /// What is sent, against what is to be. Where the case does not say, everything must at least be fit to be sent.
    fn compare_publishes(&self, published: &[Published]) -> Vec<Difference> {
        match &self.publishes {
            Some(expected) => compare::publishes(expected, published),
            None => compare::unfit(published),
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expected::Output(_) | Expected::AnyOutput => out.write_str("an output"),
            Expected::NoMatch => out.write_str("no match"),
            Expected::Error(part) if part.is_empty() => out.write_str("an error"),
            Expected::Error(part) => write!(out, "an error with `{part}`"),
        }
    }
}

impl TriedRule {
    /// Renders a row for every action, in their order.
    fn act(&self, row: &eval::Row<'_>, event: &Event<'_>, arena: &Arena, published: &mut Vec<Published>) {
        let scope = RowScope::new(*row, event, &self.id);
        // A context gives the properties of its message as a column.
        let own = Properties::from_value(&event.columns.get(Column::PubProps, arena));
        let row = Row {
            scope: &scope,
            properties: (!own.is_empty()).then_some(&own),
            hops: event.trail.hops(),
            at_ms: event.timestamp_ms,
        };
        for action in &self.actions {
            published.push(action.render(&row, arena));
        }
    }
}

impl Action {
    fn render(&self, row: &Row<'_>, arena: &Arena) -> Published {
        let mut buffer = Vec::new();
        match self {
            Action::Declared { id, render } => {
                let rendered = render.render(row, arena, &mut buffer);
                let request = rendered.map(|()| render.describe(&buffer)).map_err(|error| error.to_string());
                Published { action: id.clone(), request }
            }
            Action::Republish(republish) => {
                let request = republish.render(row, arena, &mut buffer).map(|rendered| rendered.describe());
                Published { action: REPUBLISH.to_owned(), request }
            }
        }
    }
}

impl Failure {
    fn of(message: impl Into<String>) -> Self {
        Self { message: message.into(), differences: Vec::new(), place: None }
    }

    fn of_differences(differences: Vec<Difference>) -> Result<(), Self> {
        let message = match differences.len() {
            0 => return Ok(()),
            1 => "1 difference".to_owned(),
            count => format!("{count} differences"),
        };
        Err(Self { message, differences, place: None })
    }
}
