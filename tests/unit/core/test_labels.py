import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.labels import app_class_label, interaction_labels
from shared.core.resources import AI_INTERACTION, CHAT, kind_of


@pytest.mark.parametrize(
    ("app_class", "label"),
    [
        ("IPM.SkypeTeams.Message.Copilot.Excel", "Excel"),
        ("IPM.SkypeTeams.Message.Copilot.Studio.Agent2", "Studio.Agent2"),
        ("IPM.Another.Class", "IPM.Another.Class"),
        ("IPM.SkypeTeams.Message.Copilot.", "other"),
        ("", "other"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "other"),
        ("Excel\n", "other"),
        ("Tariq O’Brien", "other"),
        ("Ünicode", "other"),
        (7, "other"),
        (None, "none"),
    ],
)
def test_an_app_class_is_told_without_its_prefix(app_class: object, label: str) -> None:
    assert app_class_label(app_class) == label


@given(st.text(max_size=60))
def test_a_label_is_short_and_plain_whatever_content_says(text: str) -> None:
    label = app_class_label(text)

    assert 0 < len(label) <= 40
    assert label.isascii()
    assert label.replace(".", "").isalnum()


@pytest.mark.parametrize(
    ("interaction_type", "label"),
    [("userPrompt", "userPrompt"), ("aiResponse", "aiResponse"), ("newIdea", "other"), ({}, "other"), (None, "none")],
)
def test_an_interaction_type_is_one_of_few(interaction_type: object, label: str) -> None:
    labels = interaction_labels(AI_INTERACTION, {"interactionType": interaction_type, "appClass": None})

    assert labels == {"kind": "aiInteraction", "app_class": "none", "interaction_type": label}


def test_a_kind_is_one_of_the_table() -> None:
    assert interaction_labels(CHAT, {})["kind"] == "chat"
    assert interaction_labels(kind_of("somethingNew", ""), None) == {
        "kind": "other",
        "app_class": "none",
        "interaction_type": "none",
    }
