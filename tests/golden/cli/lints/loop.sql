FOREACH payload.items AS i
DO i.id AS id, item.v AS v
INCASE id = 1
FROM "t/#"
WHERE i.id = 2
