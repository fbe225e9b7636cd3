SELECT topic, payload.x AS x
FROM "", "a#", "a/#/b", "+a/b", "$events/client_conected", "$share/g/a", "$bridges/mqtt:nowhere", "t/1"
WHERE topic =~ 'a/#/b'
