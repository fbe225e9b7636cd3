--- actions = [{ function = "republish", args = { topic = "hot", payload = "${.}" } }]
SELECT payload.temp AS temp FROM "temp_hum/#"
