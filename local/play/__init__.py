"""Plays a day of a tenant's traffic against the app on this machine, with faults, and accounts for all of it."""
