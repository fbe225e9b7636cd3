--- actions = [{ function = "republish", args = { topic = "hot/${clientid}", payload = "${place}" } }]
SELECT payload.temp AS temp, upper(payload.place) AS place, payload.list AS list
FROM "temp_hum/#"
WHERE payload.temp > 30
