"""What a SIP2 kiosk is answered: its messages mapped onto the desk, the desk's answers onto SIP2 replies."""

from edge.selfservice.sip2.call import Call, Site, lang_of
from edge.selfservice.sip2.handler import Sip2Desk
from edge.selfservice.sip2.status import SUPPORTED
from edge.selfservice.sip2.texts import line

__all__ = ["SUPPORTED", "Call", "Sip2Desk", "Site", "lang_of", "line"]
