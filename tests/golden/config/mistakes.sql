-- Überall Fehler.
--- enabel = true
--- tags = "a"
--- actions = [
---   "uplink",
---   { function = "republsh", args = { topic = "t" } },
---   { function = "console" },
--- ]
  --- name = "indented"
SELECT *
--- enable = false
FROM "t/#"
