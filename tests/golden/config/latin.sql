-- café
SELECT 1 FROM "t"
