-- Commands from the remote broker are published here.
--- actions = [{ function = "republish", args = { topic = "${topic}", qos = "${qos}", payload = "${payload}" } }]
SELECT * FROM "$bridges/mqtt:downlink"
