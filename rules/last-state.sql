-- What every room was last like, kept for whoever asks later.
--
-- The message is retained, so a dashboard that subscribes an hour from now sees it at once.
--
-- Try it:
--   mosquitto_pub -t temp_hum/hall -m '{"temp": 21, "hum": 45}'
--   mosquitto_sub -t 'state/#' -v
--- actions = [
---   { function = "republish", args = { topic = "state/${topic}", qos = 1, retain = true, payload = "${state}" } },
--- ]
SELECT
  payload.temp AS state.temp,
  payload.hum AS state.hum,
  CASE
    WHEN payload.temp < 18 THEN 'cold'
    WHEN payload.temp > 26 THEN 'warm'
    WHEN payload.hum > 65 THEN 'damp'
    ELSE 'pleasant'
  END AS state.comfort
FROM "temp_hum/#"
WHERE is_not_null(payload.temp) AND is_not_null(payload.hum)
