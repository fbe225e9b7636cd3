/// Declares the columns once: the variant, and the name that SQL spells.
macro_rules! columns {
    ($($variant:ident $name:literal,)*) => {
        /// A column that some event brings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs)] // each is documented by the name it carries
        pub enum Column { $($variant,)* }

        impl Column {
            /// Every column of every event.
            pub const ALL: &'static [Column] = &[$(Column::$variant,)*];

            /// The name in SQL.
            pub fn name(self) -> &'static str {
                match self { $(Column::$variant => $name,)* }
            }

            /// The column of this name; names are case-sensitive.
            pub fn from_name(name: &str) -> Option<Column> {
                match name { $($name => Some(Column::$variant),)* _ => None }
            }
        }
    };
}

columns! {
    Action "action",
    ActivatedAt "activated_at",
    AuthzSource "authz_source",
    CleanStart "clean_start",
    ClientAttrs "client_attrs",
    Clientid "clientid",
    ConnProps "conn_props",
    ConnectedAt "connected_at",
    DeactivatedAt "deactivated_at",
    Details "details",
    DisconnProps "disconn_props",
    DisconnectedAt "disconnected_at",
    Dup "dup",
    Event "event",
    ExpiryInterval "expiry_interval",
    Flags "flags",
    FromClientid "from_clientid",
    FromUsername "from_username",
    Id "id",
    IsAnonymous "is_anonymous",
    IsBridge "is_bridge",
    IsSuperuser "is_superuser",
    Keepalive "keepalive",
    Message "message",
    MessageReceivedAt "message_received_at",
    Metadata "metadata",
    Mountpoint "mountpoint",
    Name "name",
    Node "node",
    Payload "payload",
    Peerhost "peerhost",
    Peername "peername",
    ProtoName "proto_name",
    ProtoVer "proto_ver",
    PubProps "pub_props",
    PubackProps "puback_props",
    PublishReceivedAt "publish_received_at",
    Qos "qos",
    Reason "reason",
    ReasonCode "reason_code",
    ReceiveMaximum "receive_maximum",
    Result "result",
    Retain "retain",
    Server "server",
    Sockname "sockname",
    SubProps "sub_props",
    Timestamp "timestamp",
    Topic "topic",
    Transformation "transformation",
    UnsubProps "unsub_props",
    Username "username",
    Validation "validation",
}
