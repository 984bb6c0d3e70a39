"""Buffers, configuration blocks, inputs and maker's commands of FEIG devices, both directions."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import feig
from protocols.feig import gate
from protocols.feig.records import decode_records, encode_records
from protocols.frames import FrameError, LocalFrameError, Malformed, Truncated

UID = "E00401500A203FA3"
PUSHED = bytes.fromhex(
    "0200400022001300010035030008E00401500A203FA300090432010421323131303336343300000000F70000004445444932352D45000000360000000004FE47"
)
byte = st.integers(0, 255)
uids = st.binary(min_size=8, max_size=8).map(lambda raw: raw.hex().upper())
records = st.builds(
    lambda uid, data, antenna: feig.TagRecord(0, 3, uid, len(data) // 4, 4, data, antenna),
    uids,
    st.integers(1, 9).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n)),
    byte,
)
requests = st.one_of(
    st.builds(feig.ReadBufferRequest, st.integers(1, 0xFFFF)),
    st.builds(feig.ReadBufferExtendedRequest, st.integers(1, 0xFFFF), byte),
    st.just(feig.ClearBufferRequest()),
    st.builds(feig.RfOutputRequest, st.booleans(), st.booleans()),
    st.just(feig.InputsRequest()),
    st.builds(feig.ReadConfigurationRequest, st.integers(0, 0xFFFF), byte, byte, byte),
    st.builds(
        feig.WriteConfigurationRequest, st.integers(0, 0xFFFF), st.binary(min_size=1, max_size=60), byte, byte, byte
    ),
    st.builds(feig.SetEasRequest, uids),
    st.builds(feig.ResetEasRequest, st.none() | uids),
    st.builds(feig.EasAlarmRequest, uids),
    st.builds(feig.LockBlocksRequest, uids, byte, st.integers(1, 255)),
)


def reply_of(request, reply):
    frame = feig.Frame.from_bytes(feig.encode_reply(0, request, reply))
    return feig.decode_reply(request, frame)


class TestRefusals:
    @pytest.mark.parametrize(
        "build",
        [
            lambda: feig.ReadBufferRequest(0),
            lambda: feig.ReadConfigurationRequest(-1),
            lambda: feig.WriteConfigurationRequest(9, b""),
            lambda: feig.LockBlocksRequest(UID, 0, 0),
            lambda: feig.SetEasRequest("E0"),
            lambda: encode_records(0x21, ()),
            lambda: gate.counter_question((1 << 32, 0)),
        ],
    )
    def test_what_no_device_takes_cannot_be_built(self, build):
        with pytest.raises(LocalFrameError):
            build()

    def test_another_makers_command_is_wrong_data(self):
        with pytest.raises(feig.BadRequest) as caught:
            feig.decode_request(feig.Frame(0, 0xB1, bytes.fromhex("07A201") + bytes(8)))
        assert caught.value.status == feig.DATA_FALSE

    def test_more_records_than_a_device_holds_are_refused(self):
        with pytest.raises(Malformed):
            decode_records(bytes.fromhex("01FFFF"))

    def test_a_buffer_that_is_cut_short_is_truncated(self):
        with pytest.raises(Truncated):
            feig.BufferReply.from_frame(feig.Frame(0, 0x22, bytes.fromhex("0001000200")))

    def test_a_configuration_of_two_blocks_is_refused(self):
        with pytest.raises(Malformed):
            feig.ConfigurationReply.from_frame(feig.Frame(0, 0x8A, bytes.fromhex("00020100090F000A0F")))

    def test_a_device_that_scans_by_itself_says_that_host_commands_are_not_available(self):
        frame = feig.Frame.from_bytes(feig.encode_status(0, 0xB0, feig.NOT_AVAILABLE))
        with pytest.raises(feig.StatusError) as caught:
            feig.decode_reply(feig.InventoryRequest(), frame)
        assert (caught.value.code, caught.value.retry) == ("command-not-available", False)


class TestBuffer:
    def test_the_vector_of_reading_a_buffer_is_built(self):
        """Vectors F3a and F3c."""
        assert feig.encode_request(0xFF, feig.ReadBufferExtendedRequest(0xFF)).hex().upper() == "02000AFF2B0000FF89EB"
        assert feig.encode_request(0xFF, feig.ClearBufferRequest()).hex().upper() == "020007FF325447"

    def test_the_record_of_the_vector_is_built_byte_for_byte(self):
        """Vector F5."""
        reply = feig.BufferReply.from_frame(feig.Frame.from_bytes(PUSHED))
        assert feig.Frame(0, 0x22, reply.to_body()).to_bytes() == PUSHED

    @pytest.mark.parametrize(
        ("status", "overflow", "more"), [(0x93, True, False), (0x94, False, True), (0x84, False, False)]
    )
    def test_overflow_and_more_are_told(self, status, overflow, more):
        body = bytes((status,)) + feig.Frame.from_bytes(PUSHED).data
        reply = feig.BufferReply.from_frame(feig.Frame(0, 0x22, body))
        assert (len(reply.records), reply.overflow, reply.more) == (1, overflow, more)

    @pytest.mark.parametrize("status", [0x92, 0x01])
    def test_an_empty_buffer_is_no_error(self, status):
        assert feig.BufferReply.from_frame(feig.Frame(0, 0x22, bytes((status,)))) == feig.BufferReply()

    @pytest.mark.parametrize(
        ("told", "reply", "written"),
        [
            ("00010000", feig.BufferReply(), "92"),
            ("93110000", feig.BufferReply(overflow=True), "93"),
            ("94", feig.BufferReply(more=True), "94"),
        ],
    )
    def test_without_records_nothing_is_said_of_their_kind_and_the_rest_is_kept(self, told, reply, written):
        found = feig.BufferReply.from_frame(feig.Frame(0, 0x22, bytes.fromhex(told)))
        assert found == reply
        assert found.to_body().hex() == written
        assert feig.BufferReply.from_frame(feig.Frame(0, 0x22, found.to_body())) == reply

    def test_time_and_date_stand_before_the_antenna_and_low_byte_first_is_not_reversed(self):
        body = (
            bytes.fromhex("7B0001")
            + bytes.fromhex("001E030008")
            + bytes.fromhex(UID)
            + b"\x00\x01\x04ABCD"
            + bytes(9)
            + b"\x02"
        )
        ((record,),) = decode_records(body)[1:]
        assert (record.data, record.antenna, record.uid) == (b"ABCD", 2, UID)


class TestGateFrames:
    def test_questions_for_the_counter_are_those_of_the_vectors(self):
        """Vectors F6a and F6d."""
        read = feig.Frame(0xFF, 0x9F, gate.counter_question()).to_bytes()
        assert read.hex().upper() == "020012FF9F000D02020008017700EE024431"
        zero = feig.Frame(0xFF, 0x9F, gate.counter_question((0, 0))).to_bytes()
        assert zero.hex().upper() == "020022FF9F000D0202001801780000000000000000000000000000000000B09D4138"

    def test_the_counters_answer_is_that_of_the_vector(self):
        """Vector F6c."""
        answer = feig.Frame(0, 0x9F, gate.counter_reply(gate.COUNTER_READ, (555, 524))).to_bytes()
        assert answer.hex().upper() == "020020009F0002001801770000000000000000000000022B0000020C9F4E81A3"

    def test_silencing_the_alarm_is_the_vector(self):
        """Vector F4e."""
        request = feig.WriteConfigurationRequest(gate.ALARM_BLOCK, gate.ALARM_OFF[7:])
        assert request.to_body() == gate.ALARM_OFF


class TestSystemInformation:
    @pytest.mark.parametrize(
        ("memory", "count", "size"),
        [("031B", 28, 4), ("041C", 28, 4), ("073F", 64, 8), ("0840", 64, 8), ("0000", 1, 1)],
    )
    def test_sizes_less_one_as_tags_send_them_and_plain_as_the_manual_says(self, memory, count, size):
        body = bytes.fromhex(f"003E{UID}07{memory}01")
        reply = feig.SystemInformationReply.from_frame(feig.Frame(0, 0xB0, body))
        assert (reply.block_count, reply.block_size) == (count, size)


@given(requests)
def test_device_parses_what_the_host_asked(request):
    frame = feig.Frame.from_bytes(feig.encode_request(0xFF, request))
    assert feig.decode_request(frame) == request


@given(st.lists(records, max_size=8).map(tuple))
def test_host_parses_the_records_that_the_device_built(built):
    reply = reply_of(feig.ReadBufferRequest(), feig.BufferReply(built, 0x13))
    assert [(r.uid, r.data, r.antenna) for r in reply.records] == [(r.uid, r.data, r.antenna) for r in built]


@given(st.binary(min_size=1, max_size=60), st.integers(0, 0xFFFF))
def test_host_parses_configuration_and_inputs(data, block):
    assert reply_of(feig.ReadConfigurationRequest(block), feig.ConfigurationReply(block, data)).data == data
    inputs = reply_of(feig.InputsRequest(), feig.InputsReply(data[0]))
    assert [inputs.active(n) for n in range(3)] == [bool(data[0] >> n & 1) for n in range(3)]


@given(st.sampled_from([feig.BufferReply, feig.ConfigurationReply, feig.InputsReply]), st.binary(max_size=80))
def test_noise_is_a_typed_error_or_a_reply(kind, body):
    with contextlib.suppress(FrameError, feig.StatusError):
        kind.from_frame(feig.Frame(0, 0x22, body))
