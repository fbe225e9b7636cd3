-- Names that nothing supplies here.
SELECT client_id, "temp" AS t, temp, keepalive, later + 1 AS early, 1 AS later
FROM "t/#"
WHERE clientid = "c1" AND null = payload.x
