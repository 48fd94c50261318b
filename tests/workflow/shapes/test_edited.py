"""What an edit was asked to do, read back from the recipe that it left."""

from dataclasses import asdict

from expunge.approximate import Edit
from expunge.workflow.shapes.edited import edit_settings


def test_settings_come_back_as_they_were_recorded() -> None:
    settings = Edit(lr=1e-6, steps=3, guard=None, modules=r"mlp\.")
    assert edit_settings({"settings": asdict(settings)}) == asdict(settings)
    assert edit_settings({"shape": "whole"}) == {}


def test_settings_of_release_0_1_0_are_still_read() -> None:
    settings = Edit(lr=1e-6, steps=3, guard=None, modules=r"mlp\.")
    assert edit_settings({"settings": repr(settings)}) == asdict(settings)
