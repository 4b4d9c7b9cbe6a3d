"""Delivery to files of this machine, a line for each message."""
