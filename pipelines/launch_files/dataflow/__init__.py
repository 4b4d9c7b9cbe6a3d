"""Dataflow's Flex Template: its description (metadata.json) and the program that its launcher runs (flex_main)."""
