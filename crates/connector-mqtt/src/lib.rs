//! MQTT connector.
