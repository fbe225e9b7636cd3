//! What tests share: the real binary, a real mosquitto, an independent MQTT client, HTTP, and waiting.
//!
//! ```no_run
//! # async fn journey() {
//! use testkit::{Client, Mosquitto, Sluicegate};
//!
//! let remote = Mosquitto::start().await;
//! let gate = Sluicegate::builder("target/debug/sluicegate").rule("all", "SELECT * FROM \"t/#\"").start().await;
//! let client = Client::connect(gate.mqtt(), "c1").await;
//! client.publish("t/1", "{}", 1).await;
//! # let _ = remote;
//! # }
//! ```
//!
//! Everything here belongs to tests: whatever goes wrong panics, with what was seen until then. Nothing sleeps for
//! luck; whatever takes time is waited for by its condition, for [`PATIENCE`] at most.
//!
//! *Invariant:* depends on none of our crates, so what it says about the server it learnt from outside.

mod certificates;
mod client;
mod http;
mod mosquitto;
mod ports;
mod process;
mod proxy;
mod sluicegate;
mod steady;
mod tunnel;
mod wait;
mod web;

pub use certificates::Certificates;
pub use client::{Client, ClientBuilder, Message, Publish, PublishProperties, Receipt, Version};
pub use http::{Answer, Http};
pub use mosquitto::{Mosquitto, MosquittoBuilder};
pub use ports::free_port;
pub use process::{Process, Signal};
pub use proxy::{Faults, Proxy};
pub use sluicegate::{Sluicegate, SluicegateBuilder};
pub use steady::{Pace, Series, SteadyPublisher, SteadySubscriber};
pub use tunnel::{tls_client_config, tls_front, tls_tunnel};
pub use wait::{PATIENCE, wait_for, wait_until, wait_within};
pub use web::{Sent, Web};
