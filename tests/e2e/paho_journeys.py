"""Journeys of the Paho client for Python (1.6 and later) through a broker, one a run:

    paho_journeys.py JOURNEY --port PORT [--version 3|4|5] [--transport tcp|websockets] [--ca FILE]

Ends with 0 and says nothing when all went as the specification has it; otherwise the last line says what did not.
"""

import argparse
import queue
import ssl
import sys
import threading
import time
import warnings

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

# The older callbacks are those that every version of the library has.
warnings.simplefilter("ignore", DeprecationWarning)

WAIT = 20  # seconds: for what must come
QUIET = 0.3  # seconds: for what must not


class Client:
    """A connection whose callbacks end in queues. Its topics are those of its version, so that runs do not meet."""

    def __init__(self, name, clean=True, expiry=None, will=None):
        name = f"{name}-{ARGS.version}"
        self.name = name
        self.inbox, self.subscribed, self.connected = queue.Queue(), queue.Queue(), queue.Queue()
        how = {"client_id": name, "protocol": ARGS.version, "transport": ARGS.transport}
        if ARGS.version != mqtt.MQTTv5:
            how["clean_session"] = clean
        if hasattr(mqtt, "CallbackAPIVersion"):
            how["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        self.mqtt = mqtt.Client(**how)
        if ARGS.transport == "websockets":
            self.mqtt.ws_set_options(path="/mqtt")
        if ARGS.ca:
            self.mqtt.tls_set(ca_certs=ARGS.ca, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        if will:
            self.mqtt.will_set(**{**will, "topic": own(will["topic"])})
        self.mqtt.on_message = lambda _client, _data, message: self.inbox.put(message)
        self.mqtt.on_subscribe = lambda _client, _data, mid, granted, *_: self.subscribed.put((mid, granted))
        self.mqtt.on_connect = lambda _client, _data, flags, code, *_: self.connected.put((flags, code))
        self.connect(clean, expiry)

    def connect(self, clean, expiry):
        more = {}
        if ARGS.version == mqtt.MQTTv5:
            more = {"clean_start": clean, "properties": Properties(PacketTypes.CONNECT)}
            if expiry is not None:
                more["properties"].SessionExpiryInterval = expiry
        self.mqtt.connect("localhost" if ARGS.ca else "127.0.0.1", ARGS.port, 60, **more)
        self.mqtt.loop_start()
        flags, code = self.connected.get(timeout=WAIT)
        expect("CONNACK", int(getattr(code, "value", code)), 0)
        self.session_present = flags["session present"]

    def subscribe(self, topic, qos=0, properties=None, **options):
        topic = own(topic)
        if ARGS.version == mqtt.MQTTv5:
            options = SubscribeOptions(qos=qos, **options)
            _, sent = self.mqtt.subscribe(topic, options=options, properties=properties)
        else:
            _, sent = self.mqtt.subscribe(topic, qos)
        mid, granted = self.subscribed.get(timeout=WAIT)
        expect("packet id of SUBACK", mid, sent)
        expect("granted", int(getattr(granted[0], "value", granted[0])), qos)

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        topic = own(topic)
        more = {"properties": properties} if ARGS.version == mqtt.MQTTv5 else {}
        info = self.mqtt.publish(topic, payload, qos, retain, **more)
        info.wait_for_publish(WAIT)
        if not info.is_published():
            raise AssertionError(f"{self.name}: `{topic}` with QoS {qos} was not acknowledged")

    def next(self, topic, payload=None):
        try:
            message = self.inbox.get(timeout=WAIT)
        except queue.Empty:
            raise AssertionError(f"{self.name}: nothing came on `{topic}`") from None
        expect("topic", message.topic, own(topic))
        if payload is not None:
            expect("payload", message.payload.decode(), payload)
        return message

    def nothing_more(self):
        try:
            message = self.inbox.get(timeout=QUIET)
        except queue.Empty:
            return
        raise AssertionError(f"{self.name}: `{message.topic}` came and should not: {message.payload!r}")

    def leave(self):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def vanish(self):
        """Ends the connection without a DISCONNECT."""
        self.mqtt.loop_stop()
        self.mqtt.socket().close()


def own(topic):
    return f"v{ARGS.version}/{topic}"


def expect(what, found, expected):
    if found != expected:
        raise AssertionError(f"{what}: {found!r} instead of {expected!r}")


def qos():
    """Each level to each level; the lower of both counts, and everything comes once and in order."""
    for granted in (0, 1, 2):
        reader, writer = Client(f"qos-r{granted}"), Client(f"qos-w{granted}")
        reader.subscribe(f"qos/{granted}/#", granted)
        for sent in (0, 1, 2):
            for count in range(20):
                writer.publish(f"qos/{granted}/{sent}", str(count), sent)
            for count in range(20):
                message = reader.next(f"qos/{granted}/{sent}", str(count))
                expect("QoS", message.qos, min(granted, sent))
        reader.nothing_more()
        reader.leave()
        writer.leave()


def will():
    """Comes when a connection breaks, and not when it is ended."""
    reader = Client("will-reader")
    reader.subscribe("will/#", 1)
    last = {"topic": "will/kept", "payload": "gone", "qos": 1, "retain": True}
    Client("will-polite", will={**last, "topic": "will/polite"}).leave()
    Client("will-lost", will=last).vanish()
    expect("retain of what was subscribed to before", reader.next("will/kept", "gone").retain, False)
    reader.nothing_more()
    late = Client("will-late")
    late.subscribe("will/#", 1)
    expect("retain", late.next("will/kept", "gone").retain, True)
    late.publish("will/kept", "", 1, True)


def retained():
    """The last one is kept, and an empty one clears it."""
    writer = Client("retained-writer")
    for payload in ("old", "new"):
        writer.publish("retained/a", payload, 1, True)
    reader = Client("retained-reader")
    reader.subscribe("retained/+", 1)
    message = reader.next("retained/a", "new")
    expect("retain", message.retain, True)
    writer.publish("retained/a", "", 1, True)
    reader.next("retained/a", "")
    late = Client("retained-late")
    late.subscribe("retained/+", 1)
    late.nothing_more()


def session():
    """What came meanwhile waits, with its QoS and in its order; a clean start forgets it."""
    writer = Client("session-writer")
    keeper = Client("session-keeper", clean=False, expiry=600)
    expect("session present", bool(keeper.session_present), False)
    levels = (1, 2)
    for level in levels:
        keeper.subscribe(f"session/{level}", level)
    keeper.leave()
    # One after the other, since a client may hand over what has QoS 1 before what has QoS 2.
    for level in levels:
        for count in range(50):
            writer.publish(f"session/{level}", str(count), level)
    keeper = Client("session-keeper", clean=False, expiry=600)
    # MQTT 3.1 has no such flag.
    expect("session present", bool(keeper.session_present), ARGS.version != mqtt.MQTTv31)
    waiting = {level: iter(range(50)) for level in levels}
    for _ in range(50 * len(levels)):
        message = keeper.inbox.get(timeout=WAIT)
        expect("payload", message.payload.decode(), str(next(waiting[message.qos])))
    keeper.leave()
    keeper = Client("session-keeper", clean=True, expiry=0)
    expect("session present", bool(keeper.session_present), False)
    writer.publish("session/1", "unheard", 1)
    keeper.nothing_more()


def properties():
    """MQTT 5: what travels along with a message."""
    reader, writer = Client("properties-reader"), Client("properties-writer")
    reader.subscribe("properties/#", 1)
    sent = Properties(PacketTypes.PUBLISH)
    sent.UserProperty = [("b", "1"), ("a", "2"), ("b", "3")]
    sent.ContentType = "text/plain"
    sent.ResponseTopic = "properties/answer"
    sent.CorrelationData = b"\x00\xff"
    sent.PayloadFormatIndicator = 1
    sent.MessageExpiryInterval = 60
    writer.publish("properties/a", "x", 1, properties=sent)
    found = reader.next("properties/a", "x").properties
    expect("user properties, in order", found.UserProperty, [("b", "1"), ("a", "2"), ("b", "3")])
    expect("content type", found.ContentType, "text/plain")
    expect("response topic", found.ResponseTopic, "properties/answer")
    expect("correlation data", bytes(found.CorrelationData), b"\x00\xff")
    expect("payload format", found.PayloadFormatIndicator, 1)
    if not 0 < found.MessageExpiryInterval <= 60:
        raise AssertionError(f"message expiry: {found.MessageExpiryInterval}")


def options():
    """MQTT 5: subscription identifiers and options."""
    writer = Client("options-writer")
    writer.publish("options/kept", "old", 1, True)
    reader = Client("options-reader")
    for identifier, topic in ((7, "options/#"), (300, "options/+")):
        number = Properties(PacketTypes.SUBSCRIBE)
        number.SubscriptionIdentifier = identifier
        reader.subscribe(topic, 1, number, noLocal=True, retainAsPublished=True,
                         retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
    reader.nothing_more()
    reader.publish("options/own", "x", 1)
    reader.nothing_more()
    writer.publish("options/a", "x", 1, True)
    identifiers = []
    # Overlapping subscriptions may be served by one message, or by one each.
    while len(identifiers) < 2:
        message = reader.next("options/a", "x")
        expect("retain as published", message.retain, True)
        identifiers += message.properties.SubscriptionIdentifier
    expect("subscription identifiers", sorted(identifiers), [7, 300])
    again = Client("options-again")
    for expected in (True, False):
        again.subscribe("options/kept", 1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        if expected:
            again.next("options/kept", "old")
        again.nothing_more()


def crowd():
    """A hundred at once, each in a session of its own; each hears its neighbour, whole and in order."""
    size, each = 100, 20
    clients, failed = [None] * size, []

    def run(step):
        def guarded(at):
            try:
                step(at)
            except Exception as error:  # noqa: BLE001 (it is told below)
                failed.append(f"client {at}: {error!r}")

        threads = [threading.Thread(target=guarded, args=(at,)) for at in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise AssertionError("; ".join(failed[:5]))

    def come(at):
        clients[at] = Client(f"crowd-{at}")
        clients[at].subscribe(f"crowd/{at}", 1)

    def talk(at):
        for count in range(each):
            clients[at].publish(f"crowd/{(at + 1) % size}", str(count), 1)
        for count in range(each):
            clients[at].next(f"crowd/{at}", str(count))

    run(come)
    run(talk)
    run(lambda at: clients[at].leave())


JOURNEYS = {journey.__name__: journey for journey in
            (qos, will, retained, session, properties, options, crowd)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("journey", choices=JOURNEYS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--version", type=int, default=mqtt.MQTTv311)
    parser.add_argument("--transport", default="tcp")
    parser.add_argument("--ca")
    ARGS = parser.parse_args()
    started = time.monotonic()
    try:
        JOURNEYS[ARGS.journey]()
    except Exception as error:  # noqa: BLE001 (whatever it is, it is what went wrong)
        sys.exit(f"after {time.monotonic() - started:.1f} s: {type(error).__name__}: {error}")
    # Whoever is still connected ends with the process.
    sys.exit(0)
