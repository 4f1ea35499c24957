"""How fast the app is, as ratios to what limits it. For people to run, never for tests; see docs/performance.md."""
