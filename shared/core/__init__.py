"""The rules. Bytes, keys and ``now`` come in; values and errors come out. No I/O, environment, logging or clock."""
