use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// A loopback TCP port that nobody listens on, for servers that cannot be asked to choose one themselves.
///
/// It lies below the range from which Linux takes the near ends of connections, so nobody gets it by chance while
/// the server that owns it is down for a moment.
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);

    // Tests run as processes side by side: each begins somewhere else.
    let start = std::process::id().wrapping_mul(61) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
