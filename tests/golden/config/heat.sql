-- Readings above 30 °C raise a local alarm and go to the cloud.
--- actions = [
---   "mqtt:uplink",
---   { function = "republish", args = { topic = "alarm/${clientid}", qos = 1, payload = "${.}" } },
--- ]
SELECT payload.temp AS temp, clientid
FROM "temp_hum/#"
WHERE payload.temp > 30
