"""The edge's clock: nobody's hand on the wall clock moves it, the hub's time does, and doubt is told."""

from __future__ import annotations

from pathlib import Path

from edge.clock import UNMEASURED_UNC_MS, EdgeClock, Ticks

WALL = 1_795_300_000_000
HOUR = 3_600_000


class Machine:
    """A machine's clocks, moved by the test."""

    def __init__(self, boot: str = "b1") -> None:
        self.wall, self.mono, self.boot = WALL, 1_000, boot

    def ticks(self) -> Ticks:
        return Ticks(lambda: self.wall, lambda: self.mono, self.boot)

    def wait(self, ms: int) -> None:
        self.wall += ms
        self.mono += ms


def test_a_clock_nobody_measured_is_not_trusted_and_says_how_unsure_it_is() -> None:
    clock = EdgeClock(Machine().ticks())
    assert not clock.trusted
    assert clock.stamp().t_unc == UNMEASURED_UNC_MS
    assert clock.now() == WALL


def test_a_wall_clock_set_by_hand_moves_nothing() -> None:
    machine = Machine()
    clock = EdgeClock(machine.ticks())
    machine.wait(500)
    machine.wall += 9 * HOUR
    assert clock.now() == WALL + 500
    assert clock.stamp().t_dev == WALL + 9 * HOUR + 500


def test_the_hubs_time_counts_from_the_middle_of_the_round_trip() -> None:
    machine = Machine()
    clock = EdgeClock(machine.ticks())
    sent = machine.mono
    machine.wait(40)
    clock.measure(WALL + 7_020, sent, machine.mono)
    assert clock.trusted
    assert clock.now() == WALL + 7_040
    assert clock.offset_ms == 7_000
    assert clock.stamp().t_unc == 21


def test_a_less_sure_measurement_does_not_spoil_a_surer_one() -> None:
    machine = Machine()
    clock = EdgeClock(machine.ticks())

    def hello(takes_ms: int, says: int) -> None:
        sent = machine.mono
        machine.wait(takes_ms)
        clock.measure(says, sent, machine.mono)

    hello(400, machine.wall + 400)  # a busy hub answers late: 200 ms unsure
    assert (clock.offset_ms, clock.uncertainty_ms()) == (200, 201)
    hello(2, machine.wall + 1)
    assert (clock.offset_ms, clock.uncertainty_ms()) == (0, 2)
    hello(600, machine.wall + 600)
    assert (clock.offset_ms, clock.uncertainty_ms()) == (0, 2)


def test_uncertainty_grows_between_measurements() -> None:
    machine = Machine()
    clock = EdgeClock(machine.ticks())
    clock.measure(WALL, machine.mono, machine.mono)
    machine.wait(24 * HOUR)
    assert clock.uncertainty_ms() == 1 + 24 * HOUR * 25 // 1_000_000


def test_effective_time_never_goes_back_within_a_boot_and_the_correction_is_told_as_uncertainty() -> None:
    machine = Machine()
    clock = EdgeClock(machine.ticks())
    first = clock.stamp()
    clock.measure(WALL - 5_000, machine.mono, machine.mono)
    second = clock.stamp()
    assert clock.now() == WALL - 5_000
    assert second.t_eff == first.t_eff
    assert second.t_unc == 5_001
    machine.wait(6_000)
    assert clock.stamp().t_eff == WALL + 1_000


def test_a_jump_of_the_hubs_time_is_not_believed_until_it_is_said_twice() -> None:
    machine = Machine()
    clock = EdgeClock(machine.ticks())
    clock.measure(WALL, machine.mono, machine.mono)
    machine.wait(10_000)
    clock.measure(WALL + HOUR, machine.mono, machine.mono)
    assert not clock.trusted
    assert clock.now() == WALL + 10_000
    assert clock.uncertainty_ms() > HOUR - 20_000
    machine.wait(10_000)
    clock.measure(WALL + HOUR + 10_000, machine.mono, machine.mono)
    assert clock.trusted
    assert clock.now() == WALL + HOUR + 10_000


def test_a_drift_above_two_seconds_a_day_is_not_trusted() -> None:
    machine = Machine()
    clock = EdgeClock(machine.ticks())
    clock.measure(WALL, machine.mono, machine.mono)
    machine.wait(12 * HOUR)
    clock.measure(WALL + 12 * HOUR + 5_000, machine.mono, machine.mono)
    assert not clock.trusted


def test_a_restart_within_a_boot_keeps_the_measurement_and_a_reboot_does_not(tmp_path: Path) -> None:
    machine, path = Machine(), tmp_path / "clock.json"
    EdgeClock(machine.ticks(), path).measure(WALL + HOUR, machine.mono, machine.mono)
    machine.wait(1_000)
    again = EdgeClock(machine.ticks(), path)
    assert again.trusted
    assert again.now() == WALL + HOUR + 1_000
    assert not EdgeClock(Machine("b2").ticks(), path).trusted


def test_a_torn_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    path.write_text('{"boot": "b1", "anch')
    assert not EdgeClock(Machine().ticks(), path).trusted
