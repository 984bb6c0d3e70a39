"""The upload window and the prefix against a network that loses, doubles and reorders."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.bus import (
    BATCH_OVERHEAD,
    AckOrder,
    Batch,
    LocalProtocolError,
    PrefixTracker,
    Rejected,
    RemoteProtocolError,
    Uploader,
)

EPOCH = "1740816000123-a"


def uploader(**options: object) -> Uploader:
    return Uploader(EPOCH, max_bytes=BATCH_OVERHEAD + 100, **options)  # type: ignore[arg-type]


# ---- refusals ----


def test_hole_in_what_is_offered_is_refused() -> None:
    with pytest.raises(LocalProtocolError) as refusal:
        uploader().offer([(1, 10), (3, 10)])
    assert refusal.value.code == "BUS_OFFER_GAP"


def test_row_that_fits_no_message_is_refused() -> None:
    with pytest.raises(LocalProtocolError) as refusal:
        uploader().offer([(1, 101)])
    assert refusal.value.code == "BUS_ROW_TOO_LARGE"


def test_ack_of_what_was_never_sent_says_that_histories_differ() -> None:
    up = uploader()
    up.offer([(1, 10), (2, 10)])
    up.due(0.0)
    with pytest.raises(RemoteProtocolError) as refusal:
        up.on_ack(EPOCH, 3, now=0.0)
    assert refusal.value.code == "BUS_ACK_BEYOND"


def test_ack_of_another_epoch_changes_nothing() -> None:
    up = uploader()
    up.offer([(1, 10)])
    up.due(0.0)
    assert up.on_ack("other", 1, now=0.0).last == 0
    assert up.acked == 0


def test_late_ack_changes_nothing() -> None:
    up = uploader()
    up.offer([(seq, 100) for seq in range(1, 5)])
    up.due(0.0)
    up.on_ack(EPOCH, 3, now=1.0)
    late = up.on_ack(EPOCH, 1, [Rejected(1, "X")], now=2.0)
    assert (late.last, late.rejected, up.acked) == (3, (), 3)
    assert up.wake_at() == 11.0


# ---- the window ----


def test_rows_go_out_in_batches_under_the_limit() -> None:
    up = uploader()
    up.offer([(1, 40), (2, 40), (3, 40), (4, 100), (5, 1)])
    assert up.due(0.0) == [Batch(1, 2, 80), Batch(3, 3, 40), Batch(4, 4, 100), Batch(5, 5, 1)]
    assert up.due(0.0) == []


def test_window_holds_until_an_ack_makes_room() -> None:
    up = uploader(window=2)
    up.offer([(seq, 100) for seq in range(1, 4)])
    assert [batch.first for batch in up.due(0.0)] == [1, 2]
    assert up.due(5.0) == []
    acked = up.on_ack(EPOCH, 1, now=5.0)
    assert (acked.first, acked.last) == (1, 1)
    assert [batch.first for batch in up.due(5.0)] == [3]


def test_silence_makes_everything_above_the_ack_due_again() -> None:
    up = uploader()
    up.offer([(seq, 100) for seq in range(1, 4)])
    up.due(0.0)
    up.on_ack(EPOCH, 1, now=3.0)
    assert up.due(12.9) == []
    assert up.wake_at() == 13.0
    assert [batch.first for batch in up.due(13.0)] == [2, 3]
    assert up.resends == 1
    assert up.due(13.1) == []


def test_acks_without_progress_do_not_put_the_resend_off() -> None:
    up = uploader()
    up.offer([(seq, 100) for seq in range(1, 4)])
    up.due(0.0)
    for moment in range(1, 10):
        up.on_ack(EPOCH, 0, now=float(moment))
    assert [batch.first for batch in up.due(10.0)] == [1, 2, 3]


def test_ack_inside_a_batch_resends_only_its_rest() -> None:
    up = uploader()
    up.offer([(1, 30), (2, 30), (3, 30)])
    assert up.due(0.0) == [Batch(1, 3, 90)]
    up.on_ack(EPOCH, 2, now=0.0)
    assert up.due(10.0) == [Batch(3, 3, 30)]


def test_look_ahead_is_bounded_and_says_what_it_wants() -> None:
    up = uploader(window=2)
    assert up.wanted() == (1, 300)
    assert up.offer([(seq, 100) for seq in range(1, 10)]) == 3
    assert up.wanted() is None
    up.due(0.0)
    up.on_ack(EPOCH, 2, now=0.0)
    assert up.wanted() == (4, 200)
    assert up.offer([(3, 100), (4, 100)]) == 1  # one is known already


def test_rejected_rows_count_as_delivered_and_are_told() -> None:
    up = uploader()
    up.offer([(1, 100), (2, 100), (3, 100)])
    up.due(0.0)
    acked = up.on_ack(EPOCH, 2, [Rejected(1, "BAD_HASH"), Rejected(3, "BAD_HASH")], now=0.0)
    assert acked.rejected == (Rejected(1, "BAD_HASH"),)
    assert up.acked == 2


def test_hub_restored_from_a_backup_gets_the_archive_again() -> None:
    up = uploader()
    up.offer([(seq, 100) for seq in range(1, 6)])
    up.due(0.0)
    up.on_ack(EPOCH, 5, now=0.0)
    up.restart(2)
    assert up.wanted() == (3, 900)
    up.offer([(seq, 100) for seq in range(3, 6)])
    assert [batch.first for batch in up.due(1.0)] == [3, 4, 5]
    assert up.on_ack(EPOCH, 5, now=1.0).last == 5


# ---- the prefix ----


@given(st.lists(st.integers(1, 30), max_size=80))
def test_prefix_is_that_of_a_plain_set(seqs: list[int]) -> None:
    tracker, seen = PrefixTracker(), set[int]()
    for seq in seqs:
        assert tracker.has("n", "e", seq) == (seq in seen)
        assert tracker.add("n", "e", [seq]) == ([] if seq in seen else [seq])
        seen.add(seq)
        upto = next(number for number in range(100) if number + 1 not in seen)
        assert tracker.upto("n", "e") == upto
        holes = {number for first, last in tracker.missing("n", "e") for number in range(first, last + 1)}
        assert holes == {number for number in range(1, max(seen)) if number not in seen}


def test_streams_do_not_touch_each_other() -> None:
    tracker = PrefixTracker()
    tracker.seed("a", "e1", 5)
    assert tracker.add("a", "e2", [1]) == [1]
    assert (tracker.upto("a", "e1"), tracker.upto("a", "e2"), tracker.upto("b", "e1")) == (5, 1, 0)
    tracker.forget("a", "e1")
    assert tracker.upto("a", "e1") == 0


def test_islands_are_bounded_and_what_is_not_taken_is_not_claimed() -> None:
    tracker = PrefixTracker(max_islands=2)
    assert tracker.add("n", "e", [3, 5, 7, 6]) == [3, 5, 6]
    assert not tracker.has("n", "e", 7)
    assert tracker.add("n", "e", [1, 2, 4]) == [1, 2, 4]
    assert tracker.upto("n", "e") == 6


def test_sequence_numbers_below_one_are_the_peers_fault() -> None:
    with pytest.raises(RemoteProtocolError):
        PrefixTracker().add("n", "e", [0])


# ---- both, over a bad network ----


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    total=st.integers(1, 120),
    window=st.integers(1, 8),
    loss=st.floats(0, 0.6),
    double=st.floats(0, 0.4),
    restarts=st.booleans(),
)
def test_no_row_is_lost_or_skipped_whatever_the_network_does(
    seed: int, total: int, window: int, loss: float, double: float, restarts: bool
) -> None:
    rng = Random(seed)
    sizes = {seq: rng.randint(1, 100) for seq in range(1, total + 1)}
    up, tracker = uploader(window=window), PrefixTracker(max_islands=4)
    network: list[tuple[str, tuple[int, int]]] = []
    committed: list[int] = []
    now, durable = 0.0, 0

    def send(kind: str, what: tuple[int, int]) -> None:
        if now < 2_000 and rng.random() < loss:
            return
        network.extend([(kind, what)] * (2 if rng.random() < double else 1))

    while up.acked < total:
        assert now < 20_000
        now += rng.choice([0.0, 0.5, 3.0, 11.0])
        durable = min(total, durable + rng.randint(0, 20))
        if (wanted := up.wanted()) is not None:
            up.offer((seq, sizes[seq]) for seq in range(wanted[0], durable + 1))
        for batch in up.due(now):
            assert batch.size == sum(sizes[seq] for seq in range(batch.first, batch.last + 1)) <= 100
            send("evt", (batch.first, batch.last))
        assert up.in_flight <= window
        rng.shuffle(network)
        for _ in range(rng.randint(0, len(network))):
            kind, (first, last) = network.pop()
            if kind == "evt":
                committed += tracker.add("n", EPOCH, range(first, last + 1))
                send("ack", (0, tracker.upto("n", EPOCH)))
            else:
                up.on_ack(EPOCH, last, now=now)
        assert up.acked <= tracker.upto("n", EPOCH)
        if restarts and rng.random() < 0.05:  # a reconnect: hello tells what the hub holds
            up.restart(tracker.upto("n", EPOCH))
    assert sorted(committed) == list(range(1, total + 1))


# ---- the order of PUBACKs ----


@given(st.permutations(range(1, 12)), st.permutations(range(1, 12)))
def test_acks_leave_in_order_of_arrival_whatever_order_handlers_finish(arrival: list[int], finish: list[int]) -> None:
    order, sent = AckOrder(), list[int]()
    for mid in arrival:
        order.received(mid)
    for mid in finish:
        sent += order.done(mid)
        assert order.done(mid) == []
        assert sent == arrival[: len(sent)]
    assert sent == arrival
    assert len(order) == 0


def test_ack_of_an_unknown_packet_sends_nothing() -> None:
    assert AckOrder().done(1) == []
