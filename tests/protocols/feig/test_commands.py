"""FEIG requests and replies: the host builds what the device parses, and the other way round."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import feig
from protocols.frames import LocalFrameError, Malformed, Truncated

UID = "E004010012345678"
uids = st.none() | st.binary(min_size=8, max_size=8).map(lambda raw: raw.hex().upper())
known_uids = st.binary(min_size=8, max_size=8).map(lambda raw: raw.hex().upper())
byte = st.integers(0, 255)
word = st.integers(0, 0xFFFF)


@st.composite
def whole_blocks(draw):
    size = draw(st.integers(1, 32))
    count = draw(st.integers(1, 6))
    return draw(st.binary(min_size=size * count, max_size=size * count)), size


requests = st.one_of(
    st.builds(feig.InventoryRequest, st.booleans()),
    st.builds(feig.ReadBlocksRequest, uids, byte, byte),
    st.builds(
        lambda uid, first, blocks: feig.WriteBlocksRequest(uid, first, blocks[0], blocks[1]), uids, byte, whole_blocks()
    ),
    st.builds(feig.SelectRequest, uids),
    st.builds(feig.WriteAfiRequest, uids, byte),
    st.builds(feig.LockAfiRequest, uids),
    st.builds(feig.WriteDsfidRequest, uids, byte),
    st.builds(feig.SystemInformationRequest, uids),
    st.just(feig.CpuResetRequest()),
    st.just(feig.RfResetRequest()),
    st.just(feig.VersionRequest()),
    st.builds(feig.ReaderInfoRequest, byte),
    st.builds(feig.SetOutputsRequest, word, word, word, word),
    st.builds(
        feig.SetOutputRequest,
        st.lists(st.builds(feig.OutputChange, byte, byte, word), min_size=1, max_size=8).map(tuple),
        byte,
    ),
)


def reply_frame(request, reply):
    return feig.Frame.from_bytes(feig.encode_reply(0, request, reply))


class TestRequestRefusals:
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ("", feig.DATA_FALSE),
            ("EE", feig.UNKNOWN_COMMAND),
            ("01", feig.DATA_FALSE),
            ("0140", feig.DATA_FALSE),
            ("0100FF", feig.DATA_FALSE),
            ("2301E0040100", feig.DATA_FALSE),
            ("2305E0040100123456780001", feig.DATA_FALSE),
            ("24000002040011223344", feig.DATA_FALSE),
            ("2400000100", feig.DATA_FALSE),
        ],
    )
    def test_device_answers_a_wrong_host_command_with_its_status(self, body, status):
        with pytest.raises(feig.BadRequest) as caught:
            feig.decode_request(feig.Frame(0, 0xB0, bytes.fromhex(body)))
        assert caught.value.status == status

    def test_device_does_not_know_a_command_that_it_has_not(self):
        with pytest.raises(feig.BadRequest) as caught:
            feig.decode_request(feig.Frame(0, 0xDD))
        assert caught.value.status == feig.UNKNOWN_COMMAND

    @pytest.mark.parametrize(
        "build",
        [
            lambda: feig.WriteAfiRequest("e004010012345678", 7),
            lambda: feig.WriteAfiRequest("E0040100", 7),
            lambda: feig.WriteAfiRequest(UID, 256),
            lambda: feig.WriteBlocksRequest(UID, 0, b"abc"),
            lambda: feig.WriteBlocksRequest(UID, 0, b""),
            lambda: feig.WriteBlocksRequest(UID, 0, bytes(64), 64),
            lambda: feig.SetOutputRequest(()),
        ],
    )
    def test_request_out_of_range_cannot_be_built(self, build):
        with pytest.raises(LocalFrameError):
            build()


class TestReplyRefusals:
    def test_status_of_the_device_is_raised_with_its_name(self):
        request = feig.WriteAfiRequest(UID, 0xC2)
        frame = feig.Frame.from_bytes(feig.encode_status(0, 0xB0, feig.WRITE_ERROR))
        with pytest.raises(feig.StatusError) as caught:
            feig.decode_reply(request, frame)
        assert (caught.value.code, caught.value.retry) == ("write-error", True)

    def test_error_of_the_tag_is_kept(self):
        frame = feig.Frame.from_bytes(feig.encode_status(0, 0xB0, feig.ISO15693_ERROR, b"\x12"))
        with pytest.raises(feig.StatusError) as caught:
            feig.decode_reply(feig.WriteAfiRequest(UID, 7), frame)
        assert (caught.value.iso_error, caught.value.retry) == (0x12, False)

    def test_reply_to_another_command_is_refused(self):
        with pytest.raises(Malformed):
            feig.decode_reply(feig.VersionRequest(), feig.Frame(0, 0x63, b"\x00"))

    def test_inventory_that_promises_more_tags_than_it_holds_is_truncated(self):
        body = b"\x00\x02\x03\x06" + bytes.fromhex(UID)
        with pytest.raises(Truncated):
            feig.decode_reply(feig.InventoryRequest(), feig.Frame(0, 0xB0, body))

    def test_inventory_with_bytes_behind_its_tags_is_refused(self):
        body = b"\x00\x01\x03\x06" + bytes.fromhex(UID) + b"\x00"
        with pytest.raises(Malformed):
            feig.decode_reply(feig.InventoryRequest(), feig.Frame(0, 0xB0, body))

    def test_read_with_too_many_bytes_is_refused(self):
        body = b"\x00\x01\x04\x00AAAABB"
        with pytest.raises(Malformed):
            feig.decode_reply(feig.ReadBlocksRequest(UID, 0, 1), feig.Frame(0, 0xB0, body))

    @pytest.mark.parametrize("size", [0, 33, 255])
    def test_block_size_that_no_tag_has_is_refused(self, size):
        body = bytes((0, 255, size)) + bytes(20)
        with pytest.raises(Malformed):
            feig.decode_reply(feig.ReadBlocksRequest(UID, 0, 1), feig.Frame(0, 0xB0, body))


class TestInventory:
    def test_no_tag_is_an_empty_inventory(self):
        frame = feig.Frame.from_bytes(bytes.fromhex("0600B0015C63"))
        assert feig.decode_reply(feig.InventoryRequest(), frame) == feig.InventoryReply()

    def test_rf_warning_without_data_is_an_inventory_with_a_warning(self):
        frame = feig.Frame.from_bytes(bytes.fromhex("020008FFB0844FDB"))
        assert feig.decode_reply(feig.InventoryRequest(), frame) == feig.InventoryReply(warning=True)

    def test_tags_come_with_their_dsfid(self):
        body = bytes.fromhex("0002" + "033E" + UID + "0306" + "E00401000000000F")
        reply = feig.decode_reply(feig.InventoryRequest(), feig.Frame(0, 0xB0, body))
        assert reply.tags == (feig.InventoryTag(UID, 0x3E), feig.InventoryTag("E00401000000000F", 0x06))

    def test_card_of_another_type_hides_what_follows_and_not_what_came_before(self):
        body = bytes.fromhex("0002" + "033E" + UID + "0400080A0B0C0D")
        reply = feig.decode_reply(feig.InventoryRequest(), feig.Frame(0, 0xB0, body))
        assert [tag.uid for tag in reply.tags] == [UID]
        assert reply.unread == bytes.fromhex("0400080A0B0C0D")

    @pytest.mark.parametrize(
        "other",
        [
            "00 00 0102030405060708",
            "01 00 0102030405060708",
            "04 00 08 01020304050607",
            "04 04 08 0102030405060708090A",
            "05 03 0102030405060708",
            "07" + "11" * 19,
            "08 0000 010203040506",
            "0A 01 0102030405060708",
            "0B 01 0102030405060708",
        ],
    )
    def test_tags_behind_a_card_of_a_known_type_are_read(self, other):
        card = bytes.fromhex(other)
        body = b"\x00\x03" + card + bytes.fromhex("033E" + UID + "0306" + "E00401000000000F")
        reply = feig.decode_reply(feig.InventoryRequest(), feig.Frame(0, 0xB0, body))
        assert [tag.uid for tag in reply.tags] == [UID, "E00401000000000F"]
        assert (reply.others, reply.unread) == ((card,), b"")
        assert reply_frame(feig.InventoryRequest(), reply).data == body[1:]

    @pytest.mark.parametrize(
        "rest",
        [
            "3F 0102",  # no type that is known
            "04 00 08 01020304050607 03 3E" + UID[:14],  # cut short
            "04 00 08 01020304050607 03 3E" + UID + "00",  # too long
            "04 00 08 010203040506 03 3E" + UID + "11",  # out of step: what follows is no UID of ISO 15693
        ],
    )
    def test_nothing_is_guessed_behind_a_card_where_the_lengths_do_not_fit(self, rest):
        body = bytes.fromhex("0003" + "033E" + UID + rest)
        reply = feig.decode_reply(feig.InventoryRequest(), feig.Frame(0, 0xB0, body))
        assert [tag.uid for tag in reply.tags] == [UID]
        assert (reply.others, reply.unread) == ((), bytes.fromhex(rest))

    def test_more_data_is_told_and_asked_for_by_mode_bit_7(self):
        reply = feig.InventoryReply((feig.InventoryTag(UID, 0),), more=True)
        assert feig.decode_reply(feig.InventoryRequest(), reply_frame(feig.InventoryRequest(), reply)).more
        assert feig.InventoryRequest(more=True).to_body() == b"\x01\x80"


class TestBlocks:
    def test_bytes_of_a_block_are_reversed_on_the_wire_and_nowhere_else(self):
        reply = feig.ReadBlocksReply(4, (feig.Block(b"\x11\x01\x01\x31"), feig.Block(b"abcd", 1)))
        frame = reply_frame(feig.ReadBlocksRequest(UID, 0, 2), reply)
        assert frame.data == b"\x02\x04" + b"\x00\x31\x01\x01\x11" + b"\x01dcba"
        assert feig.decode_reply(feig.ReadBlocksRequest(UID, 0, 2), frame).data == b"\x11\x01\x01\x31abcd"

    def test_written_blocks_are_reversed_too(self):
        body = feig.WriteBlocksRequest(UID, 3, b"abcdefgh").to_body()
        assert body == b"\x24\x01" + bytes.fromhex(UID) + b"\x03\x02\x04dcbahgfe"


def test_write_afi_is_the_frame_of_the_vector():
    wire = feig.encode_request(0xFF, feig.WriteAfiRequest(UID, 0xC2), "standard")
    assert wire.hex().upper() == "10FFB02701E004010012345678C2794F"


def test_output_is_the_frame_of_the_vector():
    request = feig.SetOutputRequest((feig.OutputChange(0x81, 0x0B, 20),))
    assert feig.encode_request(0xFF, request).hex().upper() == "02000DFF720101810B0014BCC3"


@given(requests)
def test_device_parses_what_the_host_asked(request):
    frame = feig.Frame.from_bytes(feig.encode_request(0xFF, request))
    assert feig.decode_request(frame) == request


@given(
    st.builds(
        feig.InventoryReply,
        st.lists(st.builds(feig.InventoryTag, known_uids, byte), min_size=1, max_size=40).map(tuple),
        st.booleans(),
    )
)
def test_host_parses_the_inventory_that_the_device_built(reply):
    assert feig.decode_reply(feig.InventoryRequest(), reply_frame(feig.InventoryRequest(), reply)) == reply


@given(whole_blocks(), byte)
def test_host_parses_the_blocks_that_the_device_built(blocks, security):
    data, size = blocks
    pieces = tuple(feig.Block(data[at : at + size], security) for at in range(0, len(data), size))
    request = feig.ReadBlocksRequest(None, 0, len(pieces))
    assert feig.decode_reply(request, reply_frame(request, feig.ReadBlocksReply(size, pieces))).data == data


@given(
    st.builds(
        feig.SystemInformationReply,
        byte,
        known_uids,
        byte,
        st.integers(1, 256),
        st.sampled_from([1, 2, 4, 8, 16, 32]),
        byte,
    )
)
def test_host_parses_the_system_information_that_the_device_built(reply):
    request = feig.SystemInformationRequest(reply.uid)
    assert feig.decode_reply(request, reply_frame(request, reply)) == reply


def test_host_parses_version_and_done():
    version = feig.VersionReply((2, 7), 0, 0x91, 0x5B, b"\x00\x08")
    request = feig.VersionRequest()
    assert feig.decode_reply(request, reply_frame(request, version)) == version
    assert (
        feig.decode_reply(feig.CpuResetRequest(), feig.Frame.from_bytes(bytes.fromhex("020008006300C3AA")))
        == feig.DoneReply()
    )


def test_device_hears_its_own_address_and_the_common_one():
    assert feig.addressed_to(feig.Frame(0xFF, 0x63), 2)
    assert feig.addressed_to(feig.Frame(2, 0x63), 2)
    assert not feig.addressed_to(feig.Frame(3, 0x63), 2)


@given(st.integers(0, 255), st.binary(max_size=60), requests)
def test_any_sound_frame_is_a_reply_or_a_typed_error(command, body, request):
    with contextlib.suppress(feig.StatusError, Malformed, Truncated):
        feig.decode_reply(request, feig.Frame(0, command, body))
