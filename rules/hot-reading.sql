-- A reading above 30 °C becomes an alarm of its own.
--
-- Try it:
--   mosquitto_sub -t 'alarm/#' -v
--   mosquitto_pub -i boiler -t temp_hum/boiler -m '{"temp": 31.5, "hum": 40}'
--- actions = [
---   { function = "republish", args = { topic = "alarm/${clientid}", qos = 1, payload = "${.}" } },
--- ]
SELECT payload.temp AS temp, topic AS place, publish_received_at AS at
FROM "temp_hum/#"
WHERE payload.temp > 30
