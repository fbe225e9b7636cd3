SELECT now_timestamp('millisecond') AS now, now_rfc3339() AS text, uuid_v4() AS id, timestamp FROM "t"
