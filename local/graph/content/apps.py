"""Where people meet Copilot: the classes of interactions, an open list in Graph.

https://learn.microsoft.com/microsoft-365/copilot/extensibility/api/ai-services/interaction-export/resources/aiinteraction
"""

from dataclasses import dataclass

PREFIX = "IPM.SkypeTeams.Message.Copilot."
BOT_ID = "fb8d773d-7ef8-4ec0-a117-179f88add510"


@dataclass(frozen=True)
class App:
    """An application: `weight` is its share among the others; `meeting` sessions have several people."""

    name: str
    display_name: str
    conversation_type: str | None
    weight: int
    meeting: bool = False

    @property
    def app_class(self) -> str:
        """The `appClass` of its interactions."""
        return PREFIX + self.name


APPS: tuple[App, ...] = (
    App("BizChat", "Microsoft 365 Chat", "bizchat", 30),
    App("WebChat", "Copilot", "webchat", 8),
    App("Teams", "Copilot in Teams", "appchat", 14, meeting=True),
    App("Word", "Copilot in Word", "appchat", 10),
    App("Excel", "Copilot in Excel", "appchat", 8),
    App("PowerPoint", "Copilot in PowerPoint", "appchat", 6),
    App("Outlook", "Copilot in Outlook", "appchat", 10),
    App("OneNote", "Copilot in OneNote", "appchat", 3),
    App("Loop", "Copilot in Loop", "appchat", 3),
    App("Whiteboard", "Copilot in Whiteboard", None, 1),
    App("SharePoint", "Copilot in SharePoint", "appchat", 2),
    App("CoworkChat", "Cowork", "bizchat", 2),
    App("Studio.Agent7", "An agent that no list has yet", "agentchat", 1),
)
