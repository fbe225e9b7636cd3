use std::fmt;

/// What sort of value something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing there.
    Undefined,
    /// JSON's `null`.
    Null,
    /// A boolean.
    Bool,
    /// An integer of any size.
    Int,
    /// A number with a fraction.
    Float,
    /// A symbolic name.
    Atom,
    /// Text or bytes.
    Str,
    /// A list.
    Array,
    /// A map.
    Map,
}

impl Kind {
    /// Every kind, in the order in which messages list them.
    pub const ALL: [Kind; 9] = [
        Kind::Undefined,
        Kind::Null,
        Kind::Bool,
        Kind::Int,
        Kind::Float,
        Kind::Atom,
        Kind::Str,
        Kind::Array,
        Kind::Map,
    ];

    /// The word that messages and docs use.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Undefined => "undefined",
            Kind::Null => "null",
            Kind::Bool => "boolean",
            Kind::Int => "integer",
            Kind::Float => "float",
            Kind::Atom => "atom",
            Kind::Str => "string",
            Kind::Array => "array",
            Kind::Map => "map",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A set of kinds: what an argument may be, or what an expression may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kinds(u16);

impl Kinds {
    /// Any value at all.
    pub const ANY: Kinds = Kinds(0x1ff);
    /// No value: an expression that always fails.
    pub const NONE: Kinds = Kinds(0);
    /// An integer or a float.
    pub const NUMBER: Kinds = Kinds::of(Kind::Int).or(Kind::Float);

    /// The set of one.
    pub const fn of(kind: Kind) -> Self {
        Kinds(1 << kind as u16)
    }

    /// This set with one more.
    pub const fn or(self, kind: Kind) -> Self {
        Kinds(self.0 | 1 << kind as u16)
    }

    /// What either set has.
    pub const fn union(self, other: Kinds) -> Self {
        Kinds(self.0 | other.0)
    }

    /// Whether `kind` belongs to the set.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    /// Whether the sets have a kind in common.
    pub const fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }
}

/// One way to call a function: the kinds of its arguments, how many of the last may be left out, and the result.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    /// The kinds each argument may have, in order.
    pub params: &'static [Kinds],
    /// The number of arguments at the least; `params.len()` at the most, unless `variadic`.
    pub required: usize,
    /// Whether the last parameter may be repeated.
    pub variadic: bool,
    /// What the call gives.
    pub result: Kinds,
}

impl fmt::Display for Kinds {
    /// `integer`, `string or map`, `string, boolean or map`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.count_ones();
        for kind in Kind::ALL.into_iter().filter(|kind| self.contains(*kind)) {
            left -= 1;
            let separator = match left {
                0 => "",
                1 => " or ",
                _ => ", ",
            };
            write!(out, "{kind}{separator}")?;
        }
        Ok(())
    }
}
