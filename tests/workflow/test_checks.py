"""System checks: wiring that is wrong stops the start."""

from __future__ import annotations

from typing import Any

import pytest

from releasemgmt.workflow import checks, fsm


def ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


def test_a_gate_on_a_transition_that_is_none_is_an_error(settings: Any) -> None:
    settings.WORKFLOW_GATES = {"releases.Release.acccept": []}
    assert ids(checks.every_gate_is_known(None)) == ["workflow.E001"]


def test_a_gate_that_does_not_import_is_an_error(settings: Any) -> None:
    settings.WORKFLOW_GATES = {"releases.Release.accept": ["releasemgmt.releases.gates.no_such_gate"]}
    assert ids(checks.every_gate_is_known(None)) == ["workflow.E002"]


def test_streams_and_transitions_are_in_order() -> None:
    assert checks.every_aggregate_has_its_own_stream(None) == []
    assert checks.every_transition_says_who(None) == []


@pytest.mark.parametrize("model", checks.stateful_models(), ids=lambda model: model.__name__)
def test_every_state_can_be_reached_and_is_declared(model: Any) -> None:
    states = {value for value, _label in model._meta.get_field("state").choices}
    named = {arrow.source for arrow in fsm.catalogue(model)} | {t for a in fsm.catalogue(model) for t in a.targets}
    assert named | {model._meta.get_field("state").get_default()} == states


@pytest.mark.parametrize("model", checks.stateful_models(), ids=lambda model: model.__name__)
def test_a_transition_method_takes_exactly_its_fields(model: Any) -> None:
    for arrow in fsm.catalogue(model):
        method = getattr(model, arrow.name).__wrapped__ if hasattr(getattr(model, arrow.name), "__wrapped__") else None
        assert method is not None
        names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
        assert set(names) == {*arrow.required, *arrow.optional}, arrow.name
