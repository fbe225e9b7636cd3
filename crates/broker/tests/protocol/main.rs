//! The broker over loopback TCP, statement by statement of the specifications: the numbers in the names of tests are
//! those of MQTT 5.0, or of MQTT 3.1.1 where the name says so.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod acknowledgement;
mod connack;
mod connecting;
mod door;
mod events;
mod flows;
mod hostile;
mod independent;
mod local;
mod malformed;
mod messages;
mod raw;
mod restart;
mod rules;
mod server;
mod sessions;
mod shares;
mod subscribing;
mod sys;
mod wills;
