use std::sync::Arc;
use std::time::Duration;

use event::Properties;
use mqtt::{Connect, LastWill, QoS};

use crate::acl::Access;
use crate::message::Publisher;

/// What is to be published when a connection ends without a word.
#[derive(Debug)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: Option<Properties>,
    pub(crate) delay: Duration,
    pub(crate) publisher: Arc<Publisher>,
}

impl Will {
    /// The will that a CONNECT leaves; its topic is not checked yet.
    pub(crate) fn of(connect: &Connect, publisher: &Arc<Publisher>) -> Option<Self> {
        connect.request.last_will.as_ref().map(|will| Self {
            topic: will.topic.to_string(),
            payload: will.message.to_vec(),
            qos: will.qos,
            retain: will.retain,
            properties: Some(properties(will, connect.will_expires_at_once))
                .filter(|properties| !properties.is_empty()),
            delay: Duration::from_secs(will.will_delay_interval_sec.unwrap_or(0).into()),
            publisher: Arc::clone(publisher),
        })
    }
}

impl Will {
    /// What it does when it is published, as the ACL asks for it.
    pub(crate) fn access(&self) -> Access<'_> {
        Access::Publish { topic: &self.topic, qos: self.qos, retain: self.retain }
    }
}

fn properties(will: &LastWill, expires_at_once: bool) -> Properties {
    Properties {
        payload_format_indicator: will.is_utf8_payload.map(u8::from),
        message_expiry_interval: expires_at_once
            .then_some(0)
            .or(will.message_expiry_interval.map(Into::into)),
        content_type: will.content_type.as_ref().map(ToString::to_string),
        response_topic: will.response_topic.as_ref().map(ToString::to_string),
        correlation_data: will.correlation_data.as_ref().map(|data| data.to_vec()),
        user: will.user_properties.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
    }
}
