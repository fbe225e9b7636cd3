use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use value::{Arena, Value};

use crate::{CallError, term};

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
    /// What rules share with the process.
    pub surroundings: &'a Surroundings,
    /// What the evaluation may still spend in calls.
    pub effort: &'a Effort,
}

/// What an evaluation may spend in calls, in nanoseconds: those that something took, or may take.
///
/// Whoever makes a call spends a little for it and its arguments; functions whose time depends on more than the size of
/// their arguments spend what they took. It is no clock: what costs little always has room.
#[derive(Debug)]
pub struct Effort(Cell<u64>);

impl Effort {
    /// What one evaluation may spend, unless a call asks for more.
    pub const MAX: Duration = Duration::from_secs(1);

    /// Begins anew, for another evaluation.
    pub fn reset(&self) {
        self.0.set(Self::MAX.as_nanos() as u64);
    }

    /// Spends so many nanoseconds.
    pub fn spend(&self, nanos: u64) {
        self.0.set(self.0.get().saturating_sub(nanos));
    }

    /// Sees to it that there is at least so much.
    pub(crate) fn allow(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.set(self.0.get().max(nanos));
    }

    /// Runs something and spends the time that it takes.
    pub(crate) fn timed<T>(&self, run: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = run();
        self.spend(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        result
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        Duration::from_nanos(self.0.get())
    }

    /// Whether nothing is left.
    pub fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}

impl Default for Effort {
    fn default() -> Self {
        Self(Cell::new(Self::MAX.as_nanos() as u64))
    }
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

/// What rules share with the process they run in: one for all workers.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The variables for `getenv`, without their prefix `EMQXVAR_`; read once at the start.
    pub variables: BTreeMap<String, String>,
    /// What `kv_store_put` and `proc_dict_put` keep.
    pub store: Store,
    /// How long `jq` may take when the call does not say.
    pub jq_time: JqTime,
}

impl Surroundings {
    /// The same, with nothing kept so far: what happens there is not seen here.
    pub fn apart(&self) -> Self {
        let jq_time = JqTime::default();
        jq_time.set(self.jq_time.get());
        Self { variables: self.variables.clone(), store: Store::default(), jq_time }
    }
}

/// How long a jq program may take when the call does not say. May change while rules run.
#[derive(Debug)]
pub struct JqTime(AtomicU64);

impl JqTime {
    /// Unless something else is set: what a whole evaluation may take.
    pub const DEFAULT: Duration = Effort::MAX;
    /// However it is set.
    pub const MAX: Duration = Duration::from_secs(10);

    /// The time.
    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// Sets it, to the millisecond.
    pub fn set(&self, time: Duration) {
        self.0.store(time.min(Self::MAX).as_millis() as u64, Ordering::Relaxed);
    }
}

impl Default for JqTime {
    fn default() -> Self {
        Self(AtomicU64::new(Self::DEFAULT.as_millis() as u64))
    }
}

/// Values that outlive the message that brought them, until the process ends. Bounded.
#[derive(Debug, Default)]
pub struct Store(Mutex<Stored>);

/// A lock, as rules on all threads read and write the same values; held for one look-up.
#[derive(Debug, Default)]
struct Stored {
    values: HashMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl Store {
    /// What keys and values may take together (bytes).
    pub const BYTES_MAX: usize = 64 << 20;
    /// What one entry takes beside its key and value (bytes).
    const ENTRY_BYTES: usize = 64;

    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value under a key.
    pub(crate) fn get<'a>(&self, key: &[u8], arena: &'a Arena) -> Option<Value<'a>> {
        let term = arena.slice(self.lock().values.get(key)?);
        term::decode(term, arena)
    }

    /// Keeps a value under a key.
    pub(crate) fn put(&self, key: Vec<u8>, value: &Value<'_>) -> Result<(), CallError> {
        let mut term = Vec::new();
        term::encode(value, &mut term)?;
        let mut stored = self.lock();
        let before = stored.values.get(&key).map_or(0, |before| key.len() + before.len() + Self::ENTRY_BYTES);
        let bytes = stored.bytes - before + key.len() + term.len() + Self::ENTRY_BYTES;
        if bytes > Self::BYTES_MAX {
            return Err(CallError::TooLarge);
        }
        stored.bytes = bytes;
        stored.values.insert(key, term);
        Ok(())
    }

    /// Forgets what is under a key.
    pub(crate) fn take(&self, key: &[u8]) {
        let mut stored = self.lock();
        if let Some(before) = stored.values.remove(key) {
            stored.bytes -= key.len() + before.len() + Self::ENTRY_BYTES;
        }
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
