"""Where the app's telemetry goes on a desk: into memory for tests, into a file, to the console, to an OTLP endpoint.

On Azure none of this runs: there the worker sets OpenTelemetry up. docs/telemetry.md tells both ways.
"""
