use event::{Column, EVENTS, EventKind, EventSpec, Example};
use functions::{Args, CallContext, CallError, Effort, Function, Random, Surroundings};
use sql::{ColumnId, FunctionId, Lookup, Refusal};
use value::{Arena, Kind, Kinds, Value};

/// What the checker may know of functions and columns: the function table joined with the table of events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Catalog;

impl sql::Catalog for Catalog {
    fn function(&self, name: &str) -> Lookup<'_> {
        match functions::find(name) {
            Some(at) => {
                let function = functions::all()[at];
                Lookup::Known(sql::Function {
                    id: FunctionId(u32::try_from(at).unwrap_or(u32::MAX)),
                    signatures: function.signatures,
                    usage: function.usage,
                })
            }
            None if functions::NOT_YET.contains(&name) => Lookup::NotYet,
            None => Lookup::Unknown,
        }
    }

    fn function_names(&self, each: &mut dyn FnMut(&str)) {
        functions::all().iter().for_each(|function| each(function.name));
        functions::NOT_YET.iter().for_each(|name| each(name));
    }

    fn column(&self, name: &str) -> Option<sql::Column> {
        Column::from_name(name).map(|column| describe(column, EVENTS.iter()))
    }

    fn columns_of(&self, from: &str, each: &mut dyn FnMut(&str, sql::Column)) {
        for column in Column::ALL {
            let described = describe(*column, EVENTS.iter().filter(|spec| answers(spec, from)));
            if described.kinds != Kinds::NONE {
                each(column.name(), described);
            }
        }
    }

    fn refuses(&self, function: FunctionId, args: &[Option<Value<'_>>]) -> Option<Refusal> {
        refusal(functions::all().get(function.0 as usize)?, args)
    }

    fn event_names(&self, each: &mut dyn FnMut(&str)) {
        EVENTS.iter().flat_map(|spec| spec.from).for_each(|name| each(name));
    }
}

/// Whether some event that an entry of FROM lets in has this column.
pub(crate) fn brings(from: &str, column: Column) -> bool {
    EVENTS.iter().any(|spec| answers(spec, from) && declared(spec.kind) & bit(column) != 0)
}

/// Whether an entry of FROM can let in events of this sort.
fn answers(spec: &EventSpec, from: &str) -> bool {
    match (spec.kind, from.split('/').next()) {
        (EventKind::Source, first) => matches!(first, Some("$bridges" | "$sources")),
        (EventKind::MessagePublish, first) => !matches!(first, Some("$bridges" | "$sources" | "$events")),
        _ => spec.from.iter().any(|name| topic::matches(from, name)),
    }
}

/// The column behind a number of the IR.
pub(crate) fn column_of(id: ColumnId) -> Option<Column> {
    Column::ALL.get(usize::from(id.0)).copied()
}

/// A column, and what it may hold in any of these events; no kind at all if none of them has it.
fn describe(column: Column, events: impl Iterator<Item = &'static EventSpec>) -> sql::Column {
    let kinds = events
        .filter(|spec| declared(spec.kind) & bit(column) != 0)
        .fold(Kinds::NONE, |kinds, spec| kinds.union(kinds_in(spec, column)));
    sql::Column { id: ColumnId(column as u16), kinds }
}

const _: () = assert!(Column::ALL.len() <= 64, "sets of columns are kept in 64 bits");

/// The bit of a column in a set of columns.
pub(crate) fn bit(column: Column) -> u64 {
    1 << column as u8
}

/// The columns that SQL can see in events of this kind. Events may carry more, for templates.
pub(crate) fn declared(kind: EventKind) -> u64 {
    static DECLARED: std::sync::LazyLock<[u64; EventKind::COUNT]> = std::sync::LazyLock::new(|| {
        std::array::from_fn(|at| {
            let spec = &EVENTS[at];
            let columns = spec.columns.iter().map(|(column, _)| column).chain(spec.unfilled);
            columns.fold(bit(Column::Metadata), |set, column| set | bit(*column))
        })
    });
    DECLARED[kind as usize]
}

/// What a column of an event may hold, on a message and in a test.
fn kinds_in(spec: &EventSpec, column: Column) -> Kinds {
    if column == Column::Metadata {
        return Kinds::of(Kind::Map);
    }
    let example = spec.columns.iter().find(|(own, _)| *own == column).map(|(_, example)| *example);
    let text = Kinds::of(Kind::Str);
    match example {
        None => Kinds::ANY,
        Some(Example::Text(_) | Example::Id | Example::Undefined) => text,
        // A test may give text for these: see `test::Context`.
        Some(Example::Int(_)) if column == Column::ProtoVer => text.or(Kind::Int),
        Some(Example::Bool(_)) if spec.kind == EventKind::Source => text.or(Kind::Bool),
        Some(Example::Int(_) | Example::Now) => Kinds::of(Kind::Int),
        Some(Example::Bool(_)) => Kinds::of(Kind::Bool),
        // The event of a source is the source's name.
        Some(Example::Event) if spec.kind == EventKind::Source => text,
        Some(Example::Event | Example::Node) => Kinds::of(Kind::Atom),
        Some(Example::Json(_)) => Kinds::of(Kind::Map),
    }
}

/// Functions, and with how many arguments, whose first argument is a place in a list: 0 is always refused.
const COUNT_FROM_ONE: &[(&str, usize)] = &[("nth", 2), ("sublist", 3)];

/// Families whose functions need more than their arguments, or do more than give a value.
const IMPURE: &[&str] = &["Message", "Process"];

/// Why a call fails whatever the message.
fn refusal(function: &'static Function, args: &[Option<Value<'_>>]) -> Option<Refusal> {
    let blame = |at: usize, reason: String| Refusal { argument: Some(at), counts_from_one: false, reason };
    if COUNT_FROM_ONE.contains(&(function.name, args.len()))
        && let Some(Some(Value::Int(0))) = args.first()
    {
        let reason = "places in a list count from 1".to_owned();
        return Some(Refusal { counts_from_one: true, ..blame(0, reason) });
    }
    // A pattern that is none, or a program, is found whatever it is tried on.
    for (at, arg) in args.iter().enumerate() {
        if let Some(Value::Str(text)) = arg
            && let Err(reason) = functions::check_constant(function.name, at, text)
        {
            return Some(blame(at, format!("argument {} {reason}", at + 1)));
        }
    }
    if is_impure(function) {
        return None;
    }
    let arena = Arena::new();
    let all: Option<Vec<Value<'_>>> = args.iter().copied().collect();
    let error = call(function, &all?, &arena)?;
    Some(match error {
        CallError::Kind { arg, .. } => blame(arg, error.to_string()),
        CallError::Domain { arg, reason } => blame(arg, format!("argument {} {reason}", arg + 1)),
        CallError::Said { arg, reason } => blame(arg, format!("argument {} {reason}", arg + 1)),
        CallError::NotJson { arg, error } => blame(arg, format!("argument {} is {error}", arg + 1)),
        CallError::TooLarge => Refusal { argument: None, counts_from_one: false, reason: error.to_string() },
    })
}

fn is_impure(function: &Function) -> bool {
    let named = functions::FAMILIES.iter().filter(|(name, _)| IMPURE.contains(name));
    named.flat_map(|(_, family)| *family).any(|other| other.name == function.name)
}

/// The error of a call with these arguments.
fn call(function: &'static Function, args: &[Value<'_>], arena: &Arena) -> Option<CallError> {
    let (random, surroundings, effort) = (Random::new(1), Surroundings::default(), Effort::default());
    let context = CallContext {
        arena,
        columns: None,
        now_micros: 0,
        random: &random,
        surroundings: &surroundings,
        effort: &effort,
    };
    (function.body)(Args::new(args, &context)).err()
}
