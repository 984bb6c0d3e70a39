"""The edge's own kiosk: a page that paints what `edge.selfservice.pad` decides, and its JSON and SSE interface."""
