"""A simulated ZKTeco C3 controller with its doors, cardreaders and sensors."""

from __future__ import annotations

from firmware_sim.operated import FAULT_OPTIONS, faults_of
from firmware_sim.simulators import Options, Simulator, refuse_unknown
from firmware_sim.zkteco.controller import Controller
from firmware_sim.zkteco.simulator import ZkSimulator

__all__ = ["Controller", "ZkSimulator", "simulate"]


def simulate(url: str, options: Options) -> Simulator:
    """Make it.

    Options: password, log (binary, or text as of newer firmware), session (yes, no), cards (hex numbers that the controller itself
    opens for, "04A1B2C3,…"), doors (1..4, 2), and seed, noise, drop, double, bad_crc, slow_s.
    """
    refuse_unknown(options, ("password", "log", "session", "cards", "doors", *FAULT_OPTIONS))
    log, session, doors = options.get("log", "binary"), options.get("session", "yes"), int(options.get("doors", "2"))
    if log not in ("binary", "text") or session not in ("yes", "no") or not 1 <= doors <= 4:
        raise ValueError("log is binary or text, session is yes or no, doors are 1 to 4")
    cards = frozenset(int(part, 16) for part in options.get("cards", "").split(",") if part)
    controller = Controller(
        password=options.get("password", ""),
        text_log=log == "text",
        sessions=session == "yes",
        cards=cards,
        doors=doors,
    )
    return ZkSimulator(url, controller, faults_of(options))
