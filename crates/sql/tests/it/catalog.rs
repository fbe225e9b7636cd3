//! A catalog for tests: a few real signatures, the columns of three events, and optionally anything else as a function.

use sql::{Catalog, Column, ColumnId, Function, FunctionId, Lookup};
use value::{Kind, Kinds, Signature};

const STR: Kinds = Kinds::of(Kind::Str);
const INT: Kinds = Kinds::of(Kind::Int);
const ANY: Kinds = Kinds::ANY;

const fn sig(params: &'static [Kinds], required: usize, result: Kinds) -> Signature {
    Signature { params, required, variadic: false, result }
}

type Entry = (&'static str, &'static [Signature], &'static str);

const FUNCTIONS: &[Entry] = &[
    ("abs", &[sig(&[INT], 1, INT)], "abs(integer)"),
    ("coalesce", &[Signature { params: &[ANY, ANY], required: 2, variadic: true, result: ANY }], ""),
    ("div", &[sig(&[ANY, ANY], 2, INT)], "div(integer, integer)"),
    ("is_null", &[sig(&[ANY], 1, Kinds::of(Kind::Bool))], "is_null(any)"),
    ("mod", &[sig(&[ANY, ANY], 2, INT)], "mod(integer, integer)"),
    ("null", &[sig(&[], 0, Kinds::of(Kind::Undefined))], "null()"),
    ("substr", &[sig(&[STR, INT, INT], 2, STR)], "substr(string, start) or substr(string, start, length)"),
    ("upper", &[sig(&[STR], 1, STR)], "upper(string)"),
];

const ANYTHING: &[Signature] = &[Signature { params: &[ANY], required: 0, variadic: true, result: ANY }];

const PUBLISH: &[(&str, Kinds)] = &[
    ("clientid", STR),
    ("event", Kinds::of(Kind::Atom)),
    ("flags", Kinds::of(Kind::Map)),
    ("payload", STR),
    ("qos", INT),
    ("timestamp", INT),
    ("topic", STR),
    ("username", STR),
];
const CONNECTED: &[(&str, Kinds)] = &[("clientid", STR), ("keepalive", INT), ("username", STR)];

/// What the tests ask.
pub(crate) struct TestCatalog {
    /// Whether every function that is not declared takes anything and gives anything.
    pub(crate) any_function: bool,
}

fn columns() -> impl Iterator<Item = (usize, &'static (&'static str, Kinds))> {
    PUBLISH.iter().chain(CONNECTED.iter().filter(|(name, _)| *name == "keepalive")).enumerate()
}

impl Catalog for TestCatalog {
    fn function(&self, name: &str) -> Lookup<'_> {
        let at = FUNCTIONS.iter().position(|(known, _, _)| *known == name);
        match at {
            Some(at) if !self.any_function || matches!(name, "div" | "mod") => {
                let id = FunctionId(u32::try_from(at).expect("few functions"));
                Lookup::Known(Function { id, signatures: FUNCTIONS[at].1, usage: FUNCTIONS[at].2 })
            }
            _ if self.any_function => {
                Lookup::Known(Function { id: FunctionId(1000), signatures: ANYTHING, usage: "" })
            }
            _ if name == "schema_decode" => Lookup::NotYet,
            _ => Lookup::Unknown,
        }
    }

    fn function_names(&self, each: &mut dyn FnMut(&str)) {
        FUNCTIONS.iter().for_each(|(name, _, _)| each(name));
    }

    fn column(&self, name: &str) -> Option<Column> {
        columns().find(|(_, (known, _))| *known == name).map(|(at, (_, kinds))| Column {
            id: ColumnId(u16::try_from(at).expect("few columns")),
            kinds: *kinds,
        })
    }

    fn columns_of(&self, from: &str, each: &mut dyn FnMut(&str, Column)) {
        let brought = match from {
            "$events/client_connected" => CONNECTED,
            _ if from.starts_with("$events/") => return,
            _ => PUBLISH,
        };
        for (name, _) in brought {
            each(name, self.column(name).expect("every column is known"));
        }
    }

    fn event_names(&self, each: &mut dyn FnMut(&str)) {
        each("$events/client_connected");
    }
}
