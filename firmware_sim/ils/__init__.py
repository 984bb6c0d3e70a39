"""A member's own ILS, simulated: its own books behind a SIP2 server that is not ours, and three ways to learn what changed."""
