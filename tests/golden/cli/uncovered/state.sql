-- The state of a machine in words.
SELECT
  CASE WHEN payload.rpm = 0 THEN 'stopped' WHEN payload.rpm < 500 THEN 'idle' ELSE 'running' END AS state
FROM "machine/+", "$bridges/mqtt:plant"
WHERE payload.rpm >= 0 AND (clientid = 'a' OR clientid = 'b')
