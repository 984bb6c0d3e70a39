"""SIP2 servers with the same stub handlers, each a process of its own: ours and the rivals' (``bench.sip2``).

A server prints one line of JSON, ``{"port": …}``, when it is ready, and ends when its standard input closes.
"""
