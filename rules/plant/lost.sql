-- Who has gone without saying goodbye, and since when, kept for whoever asks later.
--
-- Try it:
--   mosquitto_sub -t 'lost/#' -v
--   mosquitto_sub -i pump -t nothing &  sleep 1; kill -9 $!
--- actions = [
---   { function = "republish", args = { topic = "lost/${clientid}", qos = 1, retain = true, payload = "${note}" } },
--- ]
SELECT clientid, reason AS note.reason, disconnected_at AS note.since
FROM "$events/client/disconnected"
WHERE reason != 'normal'
