"""aiInteractions for the benchmarks: prompts, answers, and answers with adaptive cards, in the mix that tenants send.

Half are prompts of 0.9 KB, a fifth short answers, a quarter cards of some 7 KB and one in twenty a card of 20 KB.
Property names are those of
https://learn.microsoft.com/microsoft-365-copilot/extensibility/api/ai-services/interaction-export/resources/aiinteraction.
"""

import json
import random
from datetime import UTC, datetime, timedelta

_WORDS = (  # noqa: SIM905 - forty words in three lines
    "harbour ledger quarterly invoice saffron meeting window garden turbine forecast lantern budget river summary "
    "orchard contract compass delivery granite schedule bicycle margin violet supplier paper bridge headcount copper "
    "travel policy meadow audit kettle roadmap glacier risk pencil campaign walnut review the a of and for with from"
).split()
_FIRST_DAY = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
_TEAMS = "IPM.SkypeTeams.Message.Copilot.Teams"
_CHAT = "IPM.SkypeTeams.Message.Copilot.BizChat"
_WEIGHTS = {"prompt": 50, "answer": 20, "card": 25, "long card": 5}


class Content:
    """Makes interactions, the same ones for the same seed. No two have one identity."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._count = 0

    def interaction(self) -> tuple[str, bytes]:
        """An interaction's id and its JSON as Graph encrypts it."""
        shape = self._random.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
        document = self._common()
        document |= self._prompt() if shape == "prompt" else self._response(shape)
        return str(document["id"]), json.dumps(document, separators=(",", ":")).encode()

    def _common(self) -> dict[str, object]:
        self._count += 1
        created = _FIRST_DAY + timedelta(milliseconds=self._count * 977)
        identifier = str(round(created.timestamp() * 1000))
        return {
            "id": identifier,
            "sessionId": f"19:{self._guid()}@thread.v2",
            "requestId": self._guid(),
            "locale": "en-us",
            "etag": identifier,
            "createdDateTime": created.strftime("%Y-%m-%dT%H:%M:%S.%f") + "3Z",
            "contexts": [
                {"contextReference": self._link(), "displayName": self._text(3), "contextType": "TeamsMeeting"}
            ],
            "links": [],
            "mentions": [],
        }

    def _prompt(self) -> dict[str, object]:
        user = {"id": self._guid(), "displayName": self._text(2).title(), "userIdentityType": "aadUser"}
        return {
            "appClass": _CHAT,
            "conversationType": "bizchat",
            "interactionType": "userPrompt",
            "from": {"application": None, "device": None, "user": user | {"tenantId": self._guid()}},
            "body": {"contentType": "text", "content": self._text(20)},
            "attachments": [],
        }

    def _response(self, shape: str) -> dict[str, object]:
        words = {"answer": 120, "card": 420, "long card": 1300}[shape]
        text = self._text(words)
        application = {"id": "fb8d773d-7ef8-4ec0-a117-179f88add510", "displayName": "Copilot in Teams"}
        response: dict[str, object] = {
            "appClass": _TEAMS,
            "conversationType": "appchat",
            "interactionType": "aiResponse",
            "from": {"user": None, "device": None, "application": application},
            "body": {"contentType": "text", "content": text},
            "attachments": [],
        }
        return response if shape == "answer" else response | self._card(text)

    def _card(self, text: str) -> dict[str, object]:
        blocks = [{"type": "TextBlock", "text": part, "wrap": True} for part in text.split(" the ")]
        card = {"type": "AdaptiveCard", "version": "1.0", "body": blocks}
        name = self._guid()
        return {
            "body": {"contentType": "html", "content": f'<attachment id="{name}"></attachment>'},
            "attachments": [
                {
                    "attachmentId": name,
                    "contentType": "application/vnd.microsoft.card.adaptive",
                    "contentUrl": None,
                    "content": json.dumps(card) + self._text(len(text) // 8),
                    "name": None,
                }
            ],
            "links": [{"linkUrl": self._link(), "displayName": self._text(4), "linkType": "unknown"} for _ in range(4)],
        }

    def _text(self, words: int) -> str:
        return " ".join(self._random.choices(_WORDS, k=words))

    def _link(self) -> str:
        return f"https://contoso.example/{self._guid()}/{self._random.choice(_WORDS)}.aspx?web=1"

    def _guid(self) -> str:
        bits = f"{self._random.getrandbits(128):032x}"
        return "-".join((bits[:8], bits[8:12], bits[12:16], bits[16:20], bits[20:]))
