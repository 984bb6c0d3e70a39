"""Self-service: kiosks that speak SIP2 to us, and the edge's own kiosk over a pad."""
