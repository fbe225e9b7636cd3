--- actions = [
---   { function = "republish", args = { topic = "a", user_properties = "${user_properties}", direct_dispatch = "${local}" } },
---   { function = "republish", args = { topic = "b", user_properties = "${props}", mqtt_properties = { Content-Type = "${pub_props.Content-Type}", Response-Topic = "${replyto}" } } },
--- ]
SELECT payload.to AS reply_to FROM "t/#"
