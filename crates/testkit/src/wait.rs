use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Generous: it only costs time when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const GLANCE: Duration = Duration::from_millis(5);

/// Waits until `condition` holds. Panics with `what` after [`PATIENCE`].
pub async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    wait_for(what, async || condition().await.then_some(()).ok_or_else(String::new)).await;
}

/// Waits until `look` finds something. Panics after [`PATIENCE`] with `what` and what it saw last instead.
pub async fn wait_for<T>(what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
    wait_within(PATIENCE, what, look).await
}

/// [`wait_for`] with another patience, for what takes long by its nature.
pub async fn wait_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(start.elapsed() < patience, "waited in vain until {what}\n{seen}"),
        }
        tokio::time::sleep(GLANCE).await;
    }
}
