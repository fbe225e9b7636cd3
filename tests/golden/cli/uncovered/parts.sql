FOREACH payload.parts AS p DO p.id AS id INCASE p.broken = true FROM "parts/#"
