//! Packets that break the format or the protocol end their connection, in MQTT 5 with the reason (§4.13), and hurt
//! nobody else. One line a statement.

use crate::raw::{Client, Hello, frame, string};
use crate::server::Server;

const MALFORMED: u8 = 0x81;
const PROTOCOL: u8 = 0x82;

/// After CONNECT with this level, these bytes end the connection with this reason.
async fn ends(level: u8, bytes: &[u8], code: u8) {
    let server = Server::start().await;
    let mut client = server.connect(Hello { level, ..Hello::v311("bad") }).await;
    client.send(bytes).await;
    client.ended(code).await;
    let mut other = server.client("good").await;
    other.ping().await;
    assert_eq!(server.broker.metrics().connections, 1);
}

/// These bytes instead of a good CONNECT are answered by CONNACK with this code, or by nothing, and the connection ends.
async fn refused(bytes: &[u8], code: Option<u8>) {
    let server = Server::start().await;
    let mut client = Client::open(server.address, 5).await;
    client.send(bytes).await;
    if let Some(code) = code {
        let ack = client.connack().await;
        assert_eq!((ack.code, ack.present), (code, false));
    }
    assert_eq!(client.next().await, None);
    assert_eq!(server.broker.metrics().sessions, 0);
}

macro_rules! ends {
    ($($name:ident: $level:literal $bytes:expr => $code:expr;)*) => {
        $(#[tokio::test] async fn $name() { ends($level, &$bytes, $code).await; })*
    };
}

macro_rules! refused {
    ($($name:ident: $bytes:expr => $code:expr;)*) => {
        $(#[tokio::test] async fn $name() { refused(&$bytes, $code).await; })*
    };
}

/// A body of pieces.
fn body(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}

fn subscribe(options: u8) -> Vec<u8> {
    frame(0x82, &body(&[&[0, 1, 0], &string("t"), &[options]]))
}

fn publish_with(first: u8, properties: &[u8]) -> Vec<u8> {
    let id: &[u8] = if first & 6 == 0 { &[] } else { &[0, 1] };
    frame(first, &body(&[&string("t"), id, &[properties.len() as u8], properties, b"x"]))
}

fn connect_with(properties: &[u8]) -> Vec<u8> {
    Hello::v5("c").property(properties).bytes()
}

ends! {
    mqtt_1_5_4_1_a_topic_is_well_formed_utf_8: 5 frame(0x30, &[0, 2, 0xC3, 0x28, 0]) => MALFORMED;
    mqtt_1_5_4_1_a_surrogate_is_none: 4 frame(0x30, &[0, 3, 0xED, 0xA0, 0x80]) => MALFORMED;
    mqtt_1_5_4_2_a_user_property_has_no_nul: 5
        publish_with(0x30, &[0x26, 0, 1, 0, 0, 1, b'v']) => MALFORMED;
    mqtt_1_5_5_1_a_length_has_at_most_four_bytes: 5 [0x30, 0x80, 0x80, 0x80, 0x80, 1] => MALFORMED;
    mqtt_2_1_3_1_reserved_flags_of_puback: 5 [0x41, 2, 0, 1] => MALFORMED;
    mqtt_2_1_3_1_reserved_flags_of_pingreq: 4 [0xC1, 0] => MALFORMED;
    mqtt_2_2_1_2_a_publish_of_qos_1_has_a_packet_id: 5 frame(0x32, &body(&[&string("t"), &[0, 0, 0]])) => MALFORMED;
    mqtt_2_2_1_3_a_subscribe_has_a_packet_id: 5 frame(0x82, &body(&[&[0, 0, 0], &string("t"), &[0]])) => MALFORMED;
    mqtt_2_2_2_1_a_property_that_does_not_belong_there: 5 publish_with(0x30, &[0x11, 0, 0, 0, 1]) => MALFORMED;
    mqtt_3_1_0_2_connect_comes_once: 5 Hello::v5("again").bytes() => PROTOCOL;
    mqtt_3_1_0_2_connect_comes_once_in_311: 4 Hello::v311("again").bytes() => PROTOCOL;
    mqtt_3_2_a_client_sends_no_connack: 5 [0x20, 3, 0, 0, 0] => PROTOCOL;
    mqtt_3_3_1_2_dup_is_0_at_qos_0: 5 frame(0x38, &body(&[&string("t"), &[0]])) => MALFORMED;
    mqtt_3_3_1_4_there_is_no_qos_3: 5 frame(0x36, &body(&[&string("t"), &[0, 1, 0]])) => MALFORMED;
    mqtt_3_3_2_1_a_topic_comes_first: 5 frame(0x30, &[0]) => MALFORMED;
    mqtt_3_3_2_2_a_topic_has_no_wildcard: 5 frame(0x30, &body(&[&string("a/+"), &[0]])) => 0x90;
    mqtt_3_3_2_2_a_topic_has_no_wildcard_in_311: 4 frame(0x30, &string("a/#")) => 0x90;
    mqtt_3_3_2_3_payload_format_indicator_is_0_or_1: 5 publish_with(0x30, &[0x01, 2]) => PROTOCOL;
    mqtt_3_3_2_3_a_message_expiry_stands_once: 5
        publish_with(0x30, &[0x02, 0, 0, 0, 1, 0x02, 0, 0, 0, 1]) => PROTOCOL;
    mqtt_3_3_2_8_a_topic_alias_is_not_0: 5 publish_with(0x30, &[0x23, 0, 0]) => 0x94;
    mqtt_3_3_2_9_a_topic_alias_is_at_most_what_we_said: 5 publish_with(0x30, &[0x23, 0xFF, 0xFF]) => 0x94;
    mqtt_3_3_2_8_no_topic_needs_an_alias: 5 frame(0x30, &[0, 0, 0, b'x']) => 0x90;
    mqtt_3_3_2_12_an_alias_that_was_not_set: 5 frame(0x30, &[0, 0, 3, 0x23, 0, 1, b'x']) => PROTOCOL;
    mqtt_3_3_2_14_a_response_topic_has_no_wildcard: 5
        publish_with(0x30, &[0x08, 0, 1, b'#']) => PROTOCOL;
    mqtt_3_3_4_6_a_client_sends_no_subscription_identifier: 5 publish_with(0x30, &[0x0B, 1]) => PROTOCOL;
    mqtt_3_4_2_an_unknown_reason_in_puback: 5 [0x40, 3, 0, 1, 0x7E] => MALFORMED;
    mqtt_3_6_1_1_flags_of_pubrel_are_2: 5 [0x60, 2, 0, 1] => MALFORMED;
    mqtt_3_6_1_1_flags_of_pubrel_are_2_in_311: 4 [0x60, 2, 0, 1] => MALFORMED;
    mqtt_3_8_1_1_flags_of_subscribe_are_2: 5 frame(0x80, &body(&[&[0, 1, 0], &string("t"), &[0]])) => MALFORMED;
    mqtt_3_8_1_1_flags_of_subscribe_are_2_in_311: 4 frame(0x80, &body(&[&[0, 1], &string("t"), &[0]])) => MALFORMED;
    mqtt_3_8_3_2_a_subscribe_has_a_filter: 5 [0x82, 3, 0, 1, 0] => PROTOCOL;
    mqtt_3_8_3_3_of_311_a_subscribe_has_a_filter: 4 [0x82, 2, 0, 1] => PROTOCOL;
    mqtt_3_8_3_4_no_local_is_not_for_shares: 5
        frame(0x82, &body(&[&[0, 1, 0], &string("$share/g/t"), &[4]])) => PROTOCOL;
    mqtt_3_8_3_5_reserved_bits_of_options_are_0: 5 subscribe(0x40) => MALFORMED;
    mqtt_3_8_3_4_of_311_reserved_bits_of_the_qos_are_0: 4
        frame(0x82, &body(&[&[0, 1], &string("t"), &[4]])) => MALFORMED;
    mqtt_3_8_3_a_requested_qos_is_not_3: 5 subscribe(3) => PROTOCOL;
    mqtt_3_8_3_retain_handling_is_not_3: 5 subscribe(0x30) => PROTOCOL;
    mqtt_3_8_2_a_subscription_identifier_is_not_0: 5
        frame(0x82, &body(&[&[0, 1, 2, 0x0B, 0], &string("t"), &[0]])) => PROTOCOL;
    mqtt_3_9_a_client_sends_no_suback: 5 [0x90, 4, 0, 1, 0, 0] => PROTOCOL;
    mqtt_3_10_1_1_flags_of_unsubscribe_are_2: 5 frame(0xA0, &body(&[&[0, 1, 0], &string("t")])) => MALFORMED;
    mqtt_3_10_3_2_an_unsubscribe_has_a_filter: 5 [0xA2, 3, 0, 1, 0] => PROTOCOL;
    mqtt_3_10_3_2_of_311_an_unsubscribe_has_a_filter: 4 [0xA2, 2, 0, 1] => PROTOCOL;
    mqtt_3_13_a_client_sends_no_pingresp: 5 [0xD0, 0] => PROTOCOL;
    mqtt_3_14_1_1_flags_of_disconnect_are_0: 5 [0xE1, 0] => MALFORMED;
    mqtt_3_14_1_1_flags_of_disconnect_are_0_in_311: 4 [0xE1, 0] => MALFORMED;
    mqtt_3_15_1_1_flags_of_auth_are_0: 5 [0xF1, 0] => MALFORMED;
    mqtt_4_12_0_7_auth_belongs_to_an_authentication_method: 5 [0xF0, 0] => PROTOCOL;
    auth_does_not_exist_in_311: 4 [0xF0, 0] => MALFORMED;
    packet_type_0_does_not_exist: 5 [0x00, 0] => MALFORMED;
}

refused! {
    mqtt_3_1_0_1_publish_before_connect: [0x30, 4, 0, 1, b't', b'x'] => None;
    mqtt_3_1_1_flags_of_connect_are_0: { let mut hello = Hello::v5("c").bytes(); hello[0] = 0x11; hello } => None;
    mqtt_3_1_2_1_the_name_of_the_protocol: {
        let mut hello = Hello::v311("c").bytes();
        hello[4..8].copy_from_slice(b"MQXX");
        hello
    } => None;
    mqtt_3_1_2_2_a_version_that_is_not_there: { let mut hello = Hello::v5("c").bytes(); hello[8] = 6; hello } => Some(0x84);
    mqtt_3_1_2_3_the_reserved_flag_is_0: Hello { flags: 3, ..Hello::v5("c") }.bytes() => None;
    mqtt_3_1_2_11_no_will_has_no_qos: Hello { flags: 2 | 8, ..Hello::v5("c") }.bytes() => None;
    mqtt_3_1_2_12_a_will_has_no_qos_3: Hello::v5("c").will("w", "x", 0x18, &[]).bytes() => None;
    mqtt_3_1_2_13_no_will_is_not_retained: Hello { flags: 2 | 0x20, ..Hello::v5("c") }.bytes() => None;
    mqtt_3_1_2_22_of_311_no_password_without_a_user_name: {
        Hello { flags: 2 | 0x40, rest: string("secret"), ..Hello::v311("c") }.bytes()
    } => None;
    mqtt_3_1_2_17_a_user_name_is_there_when_its_flag_is: Hello { flags: 2 | 0x80, ..Hello::v5("c") }.bytes() => None;
    mqtt_3_1_2_11_2_a_session_expiry_stands_once:
        connect_with(&[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]) => None;
    mqtt_3_1_2_11_3_a_receive_maximum_is_not_0: connect_with(&[0x21, 0, 0]) => None;
    mqtt_3_1_2_11_4_a_maximum_packet_size_is_not_0: connect_with(&[0x27, 0, 0, 0, 0]) => None;
    mqtt_3_1_2_11_7_request_problem_information_is_0_or_1: connect_with(&[0x17, 2]) => None;
    mqtt_3_1_2_11_10_authentication_data_needs_a_method: connect_with(&[0x16, 0, 1, b'x']) => Some(0x82);
    mqtt_4_12_0_1_a_method_that_is_not_there: connect_with(&[0x15, 0, 1, b'x']) => Some(0x8C);
    mqtt_3_1_3_5_a_client_id_is_utf_8: {
        let mut hello = Hello::v5("c").bytes();
        let last = hello.len() - 1;
        hello[last] = 0xFF;
        hello
    } => None;
    mqtt_3_1_3_11_a_will_topic_is_utf_8_without_wildcard: Hello::v5("c").will("w/#", "x", 0, &[]).bytes() => Some(0x90);
    a_connect_ends_with_its_last_field: Hello { rest: vec![0], ..Hello::v5("c") }.bytes() => None;
    a_connect_ends_with_its_last_field_in_311: Hello { rest: string("more"), ..Hello::v311("c") }.bytes() => None;
    a_connect_with_a_will_and_a_user_ends_there: {
        let mut hello = Hello::v5("c").will("w", "x", 0, &[]).login("u", "p");
        hello.rest.push(0);
        hello.bytes()
    } => None;
    a_connect_that_is_cut_short: { let mut hello = Hello::v5("client").bytes(); hello.truncate(9); hello[1] = 7; hello } => None;
}
