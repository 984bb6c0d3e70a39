"""Who is who: site keys, tokens and srids on one side, the hub's own reader ids on the other."""
