"""What went over a kiosk's line, for people: kept a while, masked before it is kept, shown live and for download."""

from edge.trace.book import Follower, Line, TraceBook
from edge.trace.redact import Shown, redacted
from edge.trace.routes import Pages, mount_trace

__all__ = ["Follower", "Line", "Pages", "Shown", "TraceBook", "mount_trace", "redacted"]
