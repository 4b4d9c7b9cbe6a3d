"""Files that start the program elsewhere: the systemd unit, the container image, Flink, Dataflow's Flex Template.

Place: beside the program, never imported by it. They are part of the package so that who installs it has them.
"""
