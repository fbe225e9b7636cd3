SELECT NOT (payload.a = 1) AS a
FROM "t" /* all of them */
WHERE payload.b NOT IN (1, 2);
