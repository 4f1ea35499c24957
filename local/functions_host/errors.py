"""What can go wrong before a function runs.

HostError                 the person who started the host must act; it ends with exit code 1
├── SettingsError         the settings file or host.json
└── LoadError             the app: its import, its decorators, a binding that this host does not know

A function that raises is no error of the host: it is an `Outcome` that says so.
"""


class HostError(Exception):
    """The host cannot start; the message says what to change."""


class SettingsError(HostError):
    """A settings file or host.json is missing, malformed or holds a value that this host cannot honour."""


class LoadError(HostError):
    """The app loaded, but asks for something that its bindings, settings or this host cannot give."""
