//! Connector contracts.
