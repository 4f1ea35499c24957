"""Runs the whole app on one machine without an Azure account. Never deployed."""
