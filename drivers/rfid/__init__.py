"""Drivers of RFID readers: pads that read and secure the tags of items."""
