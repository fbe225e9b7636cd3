//! Files to typed values that remember their line and column.
//!
//! A TOML file or a REST body becomes a [`Section`]; [`check()`] holds it against the [`Field`]s its owner declares and
//! gives [`Settings`]. The other modules are the files themselves: what is in the rules folder, when it changes, the
//! server's own file, and what the API stored.
//!
//! *Invariant:* does not know which connectors exist, what a rule means, or who uses a setting: it checks a section
//! against the [`Field`]s its owner declares.

pub mod acl;
mod action;
mod check;
pub mod content;
pub mod field;
pub mod folder;
mod fsync;
mod layer;
mod limits;
pub mod mqtt_config;
mod mqtt_fields;
mod place;
pub mod redact;
pub mod resource_file;
pub mod rule_file;
pub mod secret;
pub mod section;
mod server_config;
mod server_fields;
pub mod server_file;
mod setting_value;
pub mod settings;
pub mod ssrf;
pub mod store;
pub mod text_file;
pub mod toml_text;
pub mod units;
pub mod users;
pub mod watch;

pub use action::{Action, ActionRef, ActionTarget, Function};
pub use content::ContentHash;
pub use field::{Field, FieldDefault, FieldKind, field};
pub use folder::{File, FileProblem, Snapshot};
pub use fsync::Fsync;
pub use limits::Limits;
pub use place::{Part, SettingPath, Step};
pub use resource_file::{Category, Declaration};
pub use rule_file::RuleFile;
pub use secret::Secret;
pub use section::{Node, NodeValue, Section, Text};
pub use server_fields::SERVER_FIELDS;
pub use server_file::{Overrides, ServerConfig};
pub use settings::{OrTemplate, Settings, check};
pub use store::{Store, StoreError};
pub use text_file::FileKind;
pub use watch::Watch;
