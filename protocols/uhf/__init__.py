"""Chinese UHF reader families without I/O: `uhfreader18` with all its commands, `m100`, `cf` and `swct` as frames.

Commands of the UHFReader18/288: `requests` (of `tag_requests`, `device_requests`, `target`) and `replies` (with `status`).
"""
