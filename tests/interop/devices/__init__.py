"""Peers of simulated devices and of drivers that we did not write, each in an environment and a process of its own."""
