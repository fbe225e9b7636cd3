use std::cell::Cell;
use std::collections::BTreeMap;

use value::{Arena, Value};

/// What a call can see beside its arguments. Built once per evaluation.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// Where results are built.
    pub arena: &'a Arena,
    /// The event's columns; `None` in WHERE and INCASE, where `topic()`, `qos()` and their like give undefined.
    pub columns: Option<&'a dyn ColumnSource>,
    /// The time of the evaluation (microseconds since 1970 UTC).
    pub now_micros: i64,
    /// Where random numbers come from.
    pub random: &'a Random,
    /// The variables of the process that rules may read, names without the prefix `EMQXVAR_`.
    pub variables: &'a BTreeMap<String, String>,
}

/// Gives the columns of the event under evaluation by name.
pub trait ColumnSource {
    /// The value of a column; undefined if the event has none of this name.
    fn column<'a>(&'a self, name: &str, arena: &'a Arena) -> Value<'a>;
}

impl<'a> CallContext<'a> {
    /// A column of the event; undefined in WHERE and INCASE.
    pub fn column(&self, name: &str) -> Value<'a> {
        self.columns.map_or(Value::Undefined, |columns| columns.column(name, self.arena))
    }
}

/// A sequence of random numbers (splitmix64): fast, well spread, not for secrets.
#[derive(Debug)]
pub struct Random(Cell<u64>);

impl Random {
    /// A sequence that is the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// The next 64 bits.
    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
