"""Delivery by datagrams, which promise nothing."""
