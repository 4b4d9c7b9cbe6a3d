"""What ``check`` tries: Duo, destinations, directories, and test events where they are wanted."""
