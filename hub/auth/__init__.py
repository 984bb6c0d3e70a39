"""Who asks the hub, and what they may see: API tokens, staff, sessions and the access that follows from either."""
