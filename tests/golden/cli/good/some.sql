-- A case need not name every action.
--- actions = [
---   { function = "republish", args = { topic = "alarm/${clientid}", payload = "${.}" } },
---   "mqtt:uplink",
--- ]
SELECT payload.temp AS temp, clientid FROM "temp_hum/#" WHERE payload.temp > 30
