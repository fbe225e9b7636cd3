--- actions = ["mqtt:good", "mqtt:itself"]
SELECT payload.temp AS temp, payload.hum AS hum FROM "t/#"
