--- enable = 
--- actions = ["mqtt:a"
SELECT 1 FROM "t"
