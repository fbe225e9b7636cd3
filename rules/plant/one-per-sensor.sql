-- One message for each sensor of a line, out of the batch that its gateway sends.
--
-- Sensors that had nothing to say are left out.
--
-- Try it:
--   mosquitto_sub -t 'plant/+/sensor/#' -v
--   mosquitto_pub -t plant/7/batch -m '{"sensors": [{"id": "a", "value": 1.5}, {"id": "b"}]}'
--- actions = [
---   { function = "republish", args = { topic = "plant/${line}/sensor/${id}", qos = 1, payload = "${.}" } },
--- ]
FOREACH nth(2, split(topic, '/')) AS line, payload.sensors AS sensor
DO line, sensor.id AS id, sensor.value AS value
INCASE is_not_null(sensor.value)
FROM "plant/+/batch"
