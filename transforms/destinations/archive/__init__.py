"""An archive of events in Avro files, on any Beam file system, that can be replayed to any destination."""
