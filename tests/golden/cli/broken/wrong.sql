SELECT substr(payload.name) AS name FROM "t"
