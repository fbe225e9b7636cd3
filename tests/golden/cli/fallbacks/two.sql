--- actions = ["mqtt:good", "mqtt:itself", "mqtt:bad"]
SELECT payload.temp AS temp FROM "t/#"
