//! What must not end unnoticed: work, tasks and threads that a panic would stop for good without a word.
//!
//! A panic is a mistake of ours, and ends no more than it has to. [`caught`] and [`caught_in`] end one piece of work, and so
//! does [`tried`] where it may come with every message; [`restarting`] begins a task anew. Where nobody can know what state was left, as of a log on disk, [`thread`] and [`lose`]
//! have the whole process end: it finds what it needs on the disk when it starts again.
//!
//! *Invariant:* whatever a panic ends here is named in the log, and either begins again or takes the process with it.

#[cfg(panic = "abort")]
compile_error!("a mistake in one rule or connection would end the process: panics have to unwind");

mod places;

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook};
use std::pin::pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::places::Places;

/// How long [`restarting`] waits before it begins anew.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Panics of the process, of all threads, since [`tell_panics`].
static PANICS: AtomicU64 = AtomicU64::new(0);

/// What was told of lately. One for the process, as the hook is.
static TOLD: Places = Places::new();

/// What the process cannot go on without, once that is lost. One for the process, as its end is.
static LOST: LazyLock<watch::Sender<Option<String>>> = LazyLock::new(|| watch::Sender::new(None));

/// What a panic said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic(String);

impl Panic {
    #[cold]
    fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self(message.unwrap_or_else(|| "no message".to_owned()))
    }
}

impl Display for Panic {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// Writes every panic of the process into the log from now on, in the log's own format, and counts it; also those that end
/// nothing but a task of tokio. One that comes again and again at one place is told every ten seconds. The default writes to
/// standard error, past the log, and waits for whoever reads there.
pub fn tell_panics() {
    set_hook(Box::new(|info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::current();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let Some(count) = TOLD.due(&place, Instant::now()) else { return };
        let message = info.payload_as_str().unwrap_or("no message");
        // Only where `RUST_BACKTRACE` asks for it.
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(
            thread = thread.name().unwrap_or_default(),
            place,
            count,
            backtrace,
            "panic: {message}; this is a bug of Sluicegate, please report it"
        );
    }));
}

/// Panics since [`tell_panics`].
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Does some work; a panic in it is told under the name of `what`, and is the error. Whatever the work was changing may be
/// half changed then: the caller knows how to set it right.
pub fn caught<T>(what: impl Display, work: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| told(what, &*payload))
}

/// [`caught`] for what is done with every message, and costs next to nothing where all is well: the caller tells of the panic,
/// as often as is of use.
#[inline]
pub fn tried<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panic::new(&*payload))
}

/// [`caught`] for a future, which is not polled again after a panic.
pub async fn caught_in<F: Future>(what: impl Display, work: F) -> Result<F::Output, Panic> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => Err(told(&what, &*payload)).into(),
    })
    .await
}

/// Runs what `begin` gives to its end, and begins anew a second after each panic.
pub async fn restarting<F: Future>(what: impl Display, mut begin: impl FnMut() -> F) -> F::Output {
    loop {
        if let Ok(output) = caught_in(&what, begin()).await {
            return output;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Starts a thread that the process cannot go on without: after a panic in it, [`lost`] names `what`. Whoever joins it hears
/// of the panic too.
///
/// # Errors
/// Where the system has no thread for us.
pub fn thread(
    builder: Builder,
    what: impl Into<String>,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let what = what.into();
    builder.spawn(move || {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
            told(&what, &*payload);
            lose(what);
            resume_unwind(payload);
        }
    })
}

/// Says that the process cannot go on, since it has lost `what`. The first loss counts.
pub fn lose(what: impl Into<String>) {
    LOST.send_if_modified(|lost| {
        let is_first = lost.is_none();
        lost.get_or_insert_with(|| what.into());
        is_first
    });
}

/// Waits until something is lost that the process cannot go on without, and names it.
pub async fn lost() -> String {
    let mut lost = LOST.subscribe();
    match lost.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(what)) => what.clone(),
        // The sender lives as long as the process.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

fn told(what: impl Display, payload: &(dyn Any + Send)) -> Panic {
    let panic = Panic::new(payload);
    tracing::error!("{what} broke off in a panic: {panic}");
    panic
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_rest_goes_on() {
        assert_eq!(caught("adding", || 1 + 1), Ok(2));
        let text = String::from("as bugs do");
        assert_eq!(caught("failing", || panic!("{text}")), Err::<(), _>(Panic("as bugs do".into())));
        assert_eq!(
            caught("failing", || resume_unwind(Box::new(7))),
            Err::<(), _>(Panic("no message".into()))
        );
        assert_eq!(tried(|| 1 + 1), Ok(2));
        assert_eq!(tried(|| panic!("as bugs do")), Err::<(), _>(Panic("as bugs do".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_begins_anew_until_it_ends_by_itself() {
        let begun = Cell::new(0);
        let output = restarting("counting", || async {
            begun.set(begun.get() + 1);
            tokio::task::yield_now().await;
            assert_eq!(begun.get(), 3, "not yet");
            "done"
        });
        assert_eq!((output.await, begun.get()), ("done", 3));
    }

    #[tokio::test]
    async fn what_a_thread_was_for_is_lost_with_it() {
        let harmless = thread(Builder::new(), "the one that ends", || ()).expect("a thread");
        assert!(harmless.join().is_ok());
        let broken =
            thread(Builder::new(), "the one that breaks", || panic!("as bugs do")).expect("a thread");
        assert!(broken.join().is_err());
        lose("a later one");
        assert_eq!(lost().await, "the one that breaks");
    }

    #[test]
    fn panics_are_counted() {
        tell_panics();
        let before = panics();
        let broken = std::thread::spawn(|| panic!("as bugs do"));
        assert!(broken.join().is_err());
        assert!(panics() > before);
    }
}
