"""SIP2 2.00 (3M Standard Interchange Protocol) without I/O: messages, framing, both ends of a connection.

`parse` and `build` are the codec, `Framer` cuts a stream, `ServerSession` is the library system's end, `ClientSession`
the kiosk's. The dialects of the field are accepted everywhere; what is sent keeps to the standard.
"""

from protocols.sip2.client import Answered, ClientSession, Dropped, SendAgain
from protocols.sip2.codec import build, code_of, mask, parse, seal, shown
from protocols.sip2.dialect import Dialect, guess_encoding
from protocols.sip2.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from protocols.sip2.framing import NEED_DATA, Framer
from protocols.sip2.messages import BX_ORDER, LAYOUTS, REPLY_OF, REQUESTS, Layout, Message
from protocols.sip2.requests import Outgoing
from protocols.sip2.server import PAUSED, Answer, Ignored, Login, Request, ServerSession, State

__all__ = [
    "BX_ORDER",
    "LAYOUTS",
    "NEED_DATA",
    "PAUSED",
    "REPLY_OF",
    "REQUESTS",
    "Answer",
    "Answered",
    "ClientSession",
    "Dialect",
    "Dropped",
    "Framer",
    "Ignored",
    "Layout",
    "LocalProtocolError",
    "Login",
    "Message",
    "Outgoing",
    "ProtocolError",
    "RemoteProtocolError",
    "Request",
    "SendAgain",
    "ServerSession",
    "State",
    "build",
    "code_of",
    "guess_encoding",
    "mask",
    "parse",
    "seal",
    "shown",
]
