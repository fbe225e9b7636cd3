-- Every reading goes to the remote broker, and waits on disk while that is away.
--- actions = ["mqtt:uplink"]
SELECT topic, payload FROM "temp_hum/#"
