SELECT CASE event WHEN 'message.publish' THEN 1 ELSE 2 END AS kind
FROM "t/#"
WHERE qos = 'high' OR qos IN ('1', 2) OR 'clientid' = 'c1' OR payload.x <> null() OR qos = 1 AND qos = 2
   OR qos = 9 OR 3 > qos OR qos < 0 OR qos IN (2, 3) OR qos < 2 OR NOT clientid OR payload.ok OR timestamp = payload
