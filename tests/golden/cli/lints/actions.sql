--- tags = ["a"]
--- enabel = true
--- actions = [
---   "mqtt:uplnk", "mqtt:up",
---   { function = "republish", args = { topic = "out/${clientid}", retain = "${falgs.retain}", payload = "${temprature} ${keepalive} ${flags.retian} ${x}" } },
---   { function = "consle" },
--- ]
SELECT payload.temp AS temperature, *
--- enable = false
FROM "t/#"
