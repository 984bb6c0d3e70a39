"""3M pads: frames, requests and replies, both directions."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.frames import BadCheck, FrameError, LocalFrameError, Malformed, Truncated
from protocols.mmm import (
    EARLY_START,
    INFO_AFI,
    INFO_DSFID,
    INFO_IC,
    INFO_SIZE,
    LOCKED,
    NEW_STYLE,
    NO_LOCK,
    NO_TAG,
    NOT_IMPLEMENTED,
    OPTION_DSFID,
    OPTION_UID,
    PARAMETER,
    BadRequest,
    Block,
    BlocksReply,
    CheckEasRequest,
    DoneReply,
    EarlyVersionRequest,
    Frame,
    Framer,
    GetAfiRequest,
    GetDsfidRequest,
    InventoryReply,
    InventoryRequest,
    InventoryTag,
    LockAfiRequest,
    LockBlockRequest,
    LockDsfidRequest,
    MmmError,
    PassThroughReply,
    PassThroughRequest,
    QuietRequest,
    RawReply,
    ReadBlocksRequest,
    StartRequest,
    TagInfoReply,
    TagInfoRequest,
    ValueReply,
    VersionReply,
    VersionRequest,
    WriteAfiRequest,
    WriteAndLockRequest,
    WriteBlockRequest,
    WriteBlocksReply,
    WriteBlocksRequest,
    WriteDsfidRequest,
    WriteEasRequest,
    decode_reply,
    decode_request,
    encode_error,
    encode_reply,
    encode_request,
)
from protocols.mmm.describe import describe

VECTORS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "frames.jsonl").read_text().splitlines()
    if json.loads(line)["kind"] == "3m"
]
INVENTORY = bytes.fromhex("D60005FE0005FA40")
UID, OTHER = "E004010012345678", "E004010012345679"
any_frame = st.builds(Frame, st.binary(min_size=1, max_size=300), st.sampled_from([0xD5, 0xD6]))
uids = st.binary(min_size=8, max_size=8).map(lambda raw: raw.hex().upper())
byte = st.integers(0, 255)
words = st.integers(0, 4).flatmap(lambda n: st.binary(min_size=4 * n + 4, max_size=4 * n + 4))
OF_TAG = (QuietRequest, CheckEasRequest, LockAfiRequest, GetAfiRequest, LockDsfidRequest, GetDsfidRequest)
VALUED = (LockBlockRequest, WriteAfiRequest, WriteDsfidRequest, WriteEasRequest, TagInfoRequest)
requests = st.one_of(
    st.just(VersionRequest()),
    st.just(EarlyVersionRequest()),
    st.builds(StartRequest, st.binary(max_size=20)),
    st.builds(InventoryRequest, byte, byte.map(lambda value: value & ~0x40)),
    st.builds(
        PassThroughRequest, st.binary(max_size=60), st.integers(0, 0xFFFF), st.integers(0, 0x7FFF), st.just(None)
    ),
    st.builds(PassThroughRequest, st.binary(max_size=60), st.integers(0, 0xFFFF), st.just(0x8000), byte),
    *(st.builds(kind, uids) for kind in OF_TAG),
    *(st.builds(kind, uids, byte) for kind in VALUED),
    st.builds(ReadBlocksRequest, uids, byte, byte, st.none() | byte),
    st.builds(WriteBlocksRequest, uids, byte, words),
    st.builds(WriteBlockRequest, uids, byte, st.binary(min_size=4, max_size=4)),
    st.builds(WriteAndLockRequest, uids, byte, st.binary(min_size=4, max_size=4)),
)


def framed(payload: str, start: int = 0xD6) -> Frame:
    return Frame(bytes.fromhex(payload), start)


class TestRefusals:
    @pytest.mark.parametrize("at", range(len(INVENTORY) * 8))
    def test_one_flipped_bit_is_never_the_same_frame(self, at):
        raw = bytearray(INVENTORY)
        raw[at // 8] ^= 1 << at % 8
        try:
            frame = Frame.from_bytes(bytes(raw))
        except FrameError:
            return
        assert frame.start == EARLY_START  # the start byte alone is outside the BCC

    def test_right_bcc_is_told(self):
        with pytest.raises(BadCheck) as caught:
            Frame.from_bytes(bytes.fromhex("D60005FE0005FA41"))
        assert caught.value.fields["right"] == "FA40"

    def test_frame_cut_anywhere_is_truncated(self):
        for end in range(len(INVENTORY)):
            with pytest.raises(Truncated):
                Frame.from_bytes(INVENTORY[:end])

    def test_other_start_and_empty_frame_are_refused(self):
        for wrong in ("D70005FE0005FA40", "D60002FFFF"):
            with pytest.raises(Malformed):
                Frame.from_bytes(bytes.fromhex(wrong))

    @pytest.mark.parametrize(
        "request_",
        [
            InventoryRequest(0, 256),
            GetAfiRequest("E004"),
            WriteAfiRequest(UID, -1),
            GetAfiRequest("no hex digits it"),
            WriteBlocksRequest(UID, 0, b""),
            WriteBlocksRequest(UID, 0, b"abc"),
            WriteBlockRequest(UID, 0, b"abc"),
            PassThroughRequest(b"", 0, 0x8000),
            PassThroughRequest(b"", 0, 0, 3),
            PassThroughRequest(bytes(1025), 0),
        ],
    )
    def test_request_that_does_not_fit_is_not_sent(self, request_):
        with pytest.raises(LocalFrameError):
            encode_request(request_)

    @pytest.mark.parametrize(
        ("payload", "error"),
        [
            ("99", NOT_IMPLEMENTED),
            ("FE00", PARAMETER),
            ("FE000500", PARAMETER),
            ("0A" + UID[:-2], PARAMETER),
            ("04" + UID + "000200" + "11223344", PARAMETER),
        ],
    )
    def test_payload_that_is_no_request_says_what_a_pad_answers(self, payload, error):
        with pytest.raises(BadRequest) as caught:
            decode_request(framed(payload))
        assert caught.value.error == error

    def test_early_frame_asks_for_the_version_only(self):
        with pytest.raises(BadRequest):
            decode_request(framed("FE0005", EARLY_START))

    @pytest.mark.parametrize(
        ("request_", "payload"),
        [
            (GetAfiRequest(UID), "0F00" + UID + "07"),  # another command
            (GetAfiRequest(UID), "0A00" + OTHER + "07"),  # another tag
            (GetAfiRequest(UID), "0A06" + OTHER),  # a refusal about another tag
            (GetAfiRequest(UID), "0A00" + UID),
            (GetAfiRequest(UID), "0A00" + UID + "0708"),
            (InventoryRequest(), "FE00" + "0005" + "00"),  # other options
            (InventoryRequest(), "FE00" + "0003" + "02" + "3E" + UID),  # fewer tags than told
            (ReadBlocksRequest(UID, 0, 2), "0200" + UID + "01" + "000011223344"),  # fewer blocks
            (ReadBlocksRequest(UID, 0, 1), "0200" + UID + "01" + "010011223344"),  # another block
            (ReadBlocksRequest(UID, 2, 1, 0x0C), "0200" + UID + "0301" + "11223344"),
            (VersionRequest(), "11000A0302"),
            (EarlyVersionRequest(), "0400110A050002"),  # right, but not in a D5 frame
        ],
    )
    def test_answer_to_something_else_is_no_answer(self, request_, payload):
        with pytest.raises(FrameError):
            decode_reply(request_, framed(payload))


class TestErrors:
    def test_a_refusal_has_a_stable_name_and_says_whether_to_try_again(self):
        for error, code, retry in ((NO_TAG, "no-tag", True), (LOCKED, "locked", False), (0x99, "error-99", False)):
            with pytest.raises(MmmError) as caught:
                decode_reply(GetAfiRequest(UID), Frame.from_bytes(encode_error(0x0A, error, UID)))
            assert (caught.value.code, caught.value.retry) == (code, retry)

    def test_a_refusal_without_the_uid_counts_too(self):
        with pytest.raises(MmmError):
            decode_reply(GetAfiRequest(UID), Frame.from_bytes(encode_error(0x0A, NOT_IMPLEMENTED)))


@given(requests)
def test_request_survives_the_wire(request_):
    assert decode_request(Frame.from_bytes(encode_request(request_))) == request_


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (VersionRequest(), VersionReply((10, 3, 2, 6))),
        (EarlyVersionRequest(), VersionReply((10, 5, 0, 2))),
        (StartRequest(), RawReply(b"\x02\x01")),
        (InventoryRequest(), InventoryReply((InventoryTag(UID, 0x3E), InventoryTag(UID, 6)), 0, 3)),
        (InventoryRequest(0xC2, OPTION_UID), InventoryReply((InventoryTag(UID),), 0xC2, 1)),
        (InventoryRequest(0, OPTION_DSFID), InventoryReply((InventoryTag(None, 0x3E),), 0, 2)),
        (PassThroughRequest(b"\x02\x2b", 20), PassThroughReply(0x83, b"\x00\x0f")),
        (QuietRequest(UID), DoneReply(UID)),
        (GetAfiRequest(UID), ValueReply(UID, 0xDA)),
        (CheckEasRequest(UID), ValueReply(UID, 1)),
        (WriteBlocksRequest(UID, 0, b"abcd"), WriteBlocksReply(UID, 1)),
        (WriteBlocksRequest(UID, 0, b"abcd"), WriteBlocksReply(UID)),
        (ReadBlocksRequest(UID, 3, 2), BlocksReply(UID, 3, (Block(b"abcd", 0), Block(b"efgh", 1)))),
        (ReadBlocksRequest(UID, 3, 2, NEW_STYLE), BlocksReply(UID, 3, (Block(b"abcd", 0), Block(b"efgh", 1)))),
        (ReadBlocksRequest(UID, 3, 2, NEW_STYLE | NO_LOCK), BlocksReply(UID, 3, (Block(b"abcd"), Block(b"efgh")))),
        (TagInfoRequest(UID, INFO_DSFID | INFO_AFI), TagInfoReply(UID, None, 0xDA)),
        (TagInfoRequest(UID, INFO_SIZE | INFO_IC), TagInfoReply(UID, None, None, 4, 28, 0x0102)),
        (TagInfoRequest(UID, 3), TagInfoReply(UID)),
    ],
)
def test_reply_survives_the_wire(request_, reply):
    assert decode_reply(request_, Frame.from_bytes(encode_reply(request_, reply))) == reply


@given(st.integers(0, 200), st.integers(1, 40), st.sampled_from([None, NEW_STYLE, NEW_STYLE | NO_LOCK]), st.data())
def test_old_firmware_that_passes_the_options_over_is_understood(first, count, options, data):
    """It answers old style, whatever was asked."""
    blocks = tuple(
        Block(data.draw(st.binary(min_size=4, max_size=4)), data.draw(st.integers(0, 3))) for _ in range(count)
    )
    raw = encode_reply(ReadBlocksRequest(UID, first, count), BlocksReply(UID, first, blocks))
    reply = decode_reply(ReadBlocksRequest(UID, first, count, options), Frame.from_bytes(raw))
    assert reply.data == b"".join(block.data for block in blocks)


@pytest.mark.parametrize(
    ("request_", "payload"),
    [
        # examples of the specification
        (InventoryRequest(0, 5), "FE0005"),
        (ReadBlocksRequest("0000000001234567", 0, 2), "0200000000012345670002"),
        (WriteBlocksRequest("0000000001234567", 0, bytes.fromhex("1234ABCD55667788")), "0400000000012345670002001234ABCD55667788"),
        (WriteAndLockRequest("0000000001234567", 0, bytes.fromhex("1234ABCD")), "070000000001234567001234ABCD"),
        (WriteAfiRequest("E007000001234567", 0xD7), "09E007000001234567D7"),
        (WriteEasRequest("E004000001234567", 1), "0CE00400000123456701"),
        (TagInfoRequest("E007C10001234567", 3), "0DE007C1000123456703"),
        (PassThroughRequest(bytes.fromhex("232093697312000007E000"), 6), "14000B00060000232093697312000007E000"),
    ],
)  # fmt: skip
def test_requests_are_those_of_the_specification(request_, payload):
    assert Frame.from_bytes(encode_request(request_)).payload.hex().upper() == payload


def test_replies_are_those_of_the_specification():
    inventory = framed("FE00000502" + "0000000000AD6302" + "E0070000006000AE")
    assert [t.uid for t in decode_reply(InventoryRequest(0, 5), inventory).tags] == [
        "0000000000AD6302",
        "E0070000006000AE",
    ]
    through = decode_reply(PassThroughRequest(b"", 6), framed("1400830005" + "0055555555"))
    assert (through.flags, through.data.hex()) == (0x83, "0055555555")
    info = decode_reply(TagInfoRequest("E007C10001234567", 3), framed("0D00E007C1000123456702DA"))
    assert (info.dsfid, info.afi) == (None, 0xDA)


@given(st.lists(any_frame, max_size=5), st.data())
def test_any_split_gives_the_same_frames(frames, data):
    stream = b"".join(frame.to_bytes() for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    framer = Framer()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.receive(stream[start:end])
    assert found == frames


def test_noise_between_frames_is_skipped():
    framer = Framer()
    assert len(framer.receive(b"\x00\x11" + INVENTORY + b"\xd6\x00\x00" + INVENTORY)) == 2


@given(any_frame, st.sampled_from(["host", "device", None]))
def test_any_sound_frame_can_be_described(frame, source):
    assert describe(frame.to_bytes(), source)["bcc"] == "ok"


@given(any_frame, requests)
def test_any_sound_frame_is_an_answer_or_a_typed_error(frame, request_):
    with contextlib.suppress(FrameError, MmmError):
        decode_reply(request_, frame)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_given_vectors(vector):
    if vector["expected"].get("decode") == "reject":
        with pytest.raises(BadCheck):
            describe(bytes.fromhex(vector["hex"]), None)
    else:
        told = describe(bytes.fromhex(vector["hex"]), None)
        assert {key: told[key] for key in vector["expected"]} == vector["expected"]


def test_a_reply_is_described_in_full():
    raw = encode_reply(TagInfoRequest(UID, 7), TagInfoReply(UID, 0x3E, 7, 4, 28))
    told = describe(raw, "device")
    assert (told["uid"], told["dsfid"], told["afi"], told["block_count"]) == (UID, "3E", "07", 28)
    told = describe(encode_error(0x09, LOCKED, UID), None)
    assert (told["error"], told["error_name"], told["uid"]) == ("12", "locked", UID)
