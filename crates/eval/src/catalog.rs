use event::{Column, EVENTS, EventKind, EventSpec, Example};
use sql::{ColumnId, FunctionId, Lookup};
use value::{Kind, Kinds};

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
        Column::from_name(name).map(describe)
    }

    fn columns_of(&self, from: &str, each: &mut dyn FnMut(&str, sql::Column)) {
        let mut seen = 0;
        for spec in EVENTS.iter().filter(|spec| answers(spec, from)) {
            let new = declared(spec.kind) & !seen;
            seen |= new;
            Column::ALL
                .iter()
                .filter(|column| new & bit(**column) != 0)
                .for_each(|column| each(column.name(), describe(*column)));
        }
    }

    fn event_names(&self, each: &mut dyn FnMut(&str)) {
        EVENTS.iter().flat_map(|spec| spec.from).for_each(|name| each(name));
    }
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

fn describe(column: Column) -> sql::Column {
    sql::Column { id: ColumnId(column as u16), kinds: kinds(column) }
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

/// What a column may hold, over all events that have it.
fn kinds(column: Column) -> Kinds {
    let mut kinds = Kinds::of(Kind::Undefined);
    for spec in EVENTS {
        if spec.unfilled.contains(&column) {
            return Kinds::ANY;
        }
        for (_, example) in spec.columns.iter().filter(|(own, _)| *own == column) {
            kinds = kinds.union(match example {
                // A test context may give a string for any scalar.
                Example::Text(_) | Example::Id => Kinds::of(Kind::Str),
                Example::Int(_) | Example::Now => Kinds::of(Kind::Int).or(Kind::Str),
                Example::Bool(_) => Kinds::of(Kind::Bool).or(Kind::Str),
                Example::Event | Example::Node => Kinds::of(Kind::Atom).or(Kind::Str),
                Example::Json(_) => Kinds::of(Kind::Map),
                Example::Undefined => Kinds::of(Kind::Str),
            });
        }
    }
    if column == Column::Metadata { Kinds::of(Kind::Map) } else { kinds }
}
