"""invenio-sip2's messages over the frames given: what its server does to a frame, without sockets, store and log.

Parsing is decode, ``Message`` and the checksum; building is ``Message`` filled by name, as its actions do, and encoded.
Its values are strings cut to their width, none is checked.
"""

from __future__ import annotations

from _pace import given, per_second, tell
from invenio_alone import application


def main() -> None:
    """Measure and print."""
    asked = given()
    frames = [bytes.fromhex(one) for one in asked["frames"]]
    app = application(SIP2_DATASTORE_HANDLER=lambda _app: None)
    with app.app_context():
        from invenio_sip2.api import Message
        from invenio_sip2.utils import verify_checksum

        def parse(frame: bytes) -> Message:
            text = frame.decode("utf-8")
            message = Message(request=text)
            if not verify_checksum(text):
                raise ValueError("checksum")
            return message

        def build(message_type: object, fixed: list[tuple[object, str]], fields: list[tuple[str, str]]) -> bytes:
            message = Message(message_type=message_type)
            for field, value in fixed:
                message.add_fixed_field(field, value)
            for name, value in fields:
                message.add_variable_field(name, value)
            message.sequence_number = "3"
            return bytes(str(message), "utf-8")

        read = [parse(frame) for frame in frames]
        plans = [
            (
                one.message_type,
                [(part.field, part.field_value) for part in one.fixed_fields],
                [(part.field.name, part.field_value) for part in one.variable_fields],
            )
            for one in read
        ]

        def parse_all() -> None:
            for frame in frames:
                parse(frame)

        def build_all() -> None:
            for plan in plans:
                build(*plan)

        tell(
            {
                "parse_per_s": round(per_second(parse_all, len(frames), asked["seconds"])),
                "build_per_s": round(per_second(build_all, len(plans), asked["seconds"])),
            }
        )


if __name__ == "__main__":
    main()
