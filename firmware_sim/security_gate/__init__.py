"""A simulated FEIG security gate with a people counter, in notification mode."""

from firmware_sim.security_gate.gate import SimSecurityGate, simulate

__all__ = ["SimSecurityGate", "simulate"]
