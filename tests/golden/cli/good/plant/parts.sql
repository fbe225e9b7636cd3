FOREACH payload.parts AS part DO part.n * 2 AS n, part.none AS none FROM "t"
