-- windows
--- enable = false

SELECT *
FROM "t"
