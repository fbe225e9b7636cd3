use std::fmt;

/// Declares the codes once: number, variant, words.
macro_rules! reasons {
    ($($byte:literal $variant:ident $text:literal,)*) => {
        /// A reason code of MQTT 5 (§2.4), whatever packet it stands in.
        ///
        /// 0 means success in every acknowledgement, a normal end in DISCONNECT, and QoS 0 granted in SUBACK.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs)] // each is documented by its words
        pub enum ReasonCode { $($variant = $byte,)* }

        impl ReasonCode {
            /// The code of this number.
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$variant),)* _ => None }
            }

            /// The words of the specification, in lower case.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

reasons! {
    0x00 Success "success",
    0x01 GrantedQos1 "granted QoS 1",
    0x02 GrantedQos2 "granted QoS 2",
    0x04 DisconnectWithWill "disconnect with will message",
    0x10 NoMatchingSubscribers "no matching subscribers",
    0x11 NoSubscriptionExisted "no subscription existed",
    0x18 ContinueAuthentication "continue authentication",
    0x19 ReAuthenticate "re-authenticate",
    0x80 UnspecifiedError "unspecified error",
    0x81 MalformedPacket "malformed packet",
    0x82 ProtocolError "protocol error",
    0x83 ImplementationSpecificError "implementation specific error",
    0x84 UnsupportedProtocolVersion "unsupported protocol version",
    0x85 ClientIdentifierNotValid "client identifier not valid",
    0x86 BadUserNameOrPassword "bad user name or password",
    0x87 NotAuthorized "not authorized",
    0x88 ServerUnavailable "server unavailable",
    0x89 ServerBusy "server busy",
    0x8A Banned "banned",
    0x8B ServerShuttingDown "server shutting down",
    0x8C BadAuthenticationMethod "bad authentication method",
    0x8D KeepAliveTimeout "keep alive timeout",
    0x8E SessionTakenOver "session taken over",
    0x8F TopicFilterInvalid "topic filter invalid",
    0x90 TopicNameInvalid "topic name invalid",
    0x91 PacketIdentifierInUse "packet identifier in use",
    0x92 PacketIdentifierNotFound "packet identifier not found",
    0x93 ReceiveMaximumExceeded "receive maximum exceeded",
    0x94 TopicAliasInvalid "topic alias invalid",
    0x95 PacketTooLarge "packet too large",
    0x96 MessageRateTooHigh "message rate too high",
    0x97 QuotaExceeded "quota exceeded",
    0x98 AdministrativeAction "administrative action",
    0x99 PayloadFormatInvalid "payload format invalid",
    0x9A RetainNotSupported "retain not supported",
    0x9B QosNotSupported "QoS not supported",
    0x9C UseAnotherServer "use another server",
    0x9D ServerMoved "server moved",
    0x9E SharedSubscriptionsNotSupported "shared subscriptions not supported",
    0x9F ConnectionRateExceeded "connection rate exceeded",
    0xA0 MaximumConnectTime "maximum connect time",
    0xA1 SubscriptionIdentifiersNotSupported "subscription identifiers not supported",
    0xA2 WildcardSubscriptionsNotSupported "wildcard subscriptions not supported",
}

impl ReasonCode {
    /// The number on the wire.
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// Whether it stands for a failure: 0x80 and above.
    pub fn is_error(self) -> bool {
        self.byte() >= 0x80
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (0x{:02X})", self.text(), self.byte())
    }
}

/// The codec has an enumeration per packet; all are numbered alike.
macro_rules! from_codec {
    ($($codec:ty),*) => {$(
        impl From<$codec> for ReasonCode {
            fn from(reason: $codec) -> Self {
                ReasonCode::from_byte(u8::from(reason)).unwrap_or(ReasonCode::UnspecifiedError)
            }
        }
    )*};
}

from_codec!(
    crate::ConnectAckReason,
    crate::DisconnectReasonCode,
    crate::SubscribeAckReason,
    crate::UnsubscribeAckReason,
    crate::AuthReasonCode
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_agree() {
        let known = (0..=255).filter_map(ReasonCode::from_byte);
        assert_eq!(known.clone().count(), 43);
        for code in known {
            assert_eq!(ReasonCode::from_byte(code.byte()), Some(code));
        }
        assert_eq!(ReasonCode::SessionTakenOver.to_string(), "session taken over (0x8E)");
        assert!(ReasonCode::QuotaExceeded.is_error() && !ReasonCode::NoMatchingSubscribers.is_error());
    }
}
