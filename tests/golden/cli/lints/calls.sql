-- Calls that can never be right.
SELECT
  nth(0, payload.list) AS first,
  sublist(0, 2, payload.list) AS start,
  regex_match(payload.name, '[a-') AS named,
  uper(payload.name) AS loud,
  substr(payload.name) AS part,
  abs('x') AS size,
  base64_decode('%') AS bytes,
  jason_decode(payload) AS decoded,
  schema_decode('s', payload) AS later
FROM "t/#"
