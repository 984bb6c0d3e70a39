"""pysip2's codec over the frames given: decode with its checksum and its validation by msgspec, encode from its models.

Its "typed" is a struct a message whose values are strings held to patterns (flags, dates, counts): nothing is turned
into a number or a date. The models that are encoded are ready made, so building them costs it nothing here.
"""

from __future__ import annotations

from _pace import given, per_second, tell
from pysip2.codec import decode_message, encode_message


def main() -> None:
    """Measure and print."""
    asked = given()
    frames = [bytes.fromhex(one) + b"\r" for one in asked["frames"]]
    models = [decode_message(frame, encoding="utf-8").message for frame in frames]

    def parse_all() -> None:
        for frame in frames:
            decode_message(frame, encoding="utf-8")

    def build_all() -> None:
        for model in models:
            encode_message(model, sequence_number=3, checksum=True, encoding="utf-8")

    tell(
        {
            "parse_per_s": round(per_second(parse_all, len(frames), asked["seconds"])),
            "build_per_s": round(per_second(build_all, len(models), asked["seconds"])),
        }
    )


if __name__ == "__main__":
    main()
