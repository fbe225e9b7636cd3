--- actions = [
---   "mqtt:uplink",
---   { function = "republish", args = { topic = "alarm/${clientid}", qos = 1, payload = "${.}" } },
---   { function = "console" },
--- ]
SELECT payload.temp AS temp, clientid
FROM "temp_hum/#", "$events/client_connected"
WHERE payload.temp > 30
