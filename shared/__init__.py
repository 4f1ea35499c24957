"""The app: rules (core), what they ask of the world (ports), stories (flows), outside systems (adapters)."""
