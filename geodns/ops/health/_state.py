"""Owns what results make of health, by rise and fall; refuses to know where results come from, what time it is, and who asks."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, assert_never

from pydantic import Field, TypeAdapter, ValidationError

from geodns.ops.health._values import NoState, Result


class BadState(ValueError):
    """What was to be read is no state."""


class Health(StrEnum):
    """What is believed of a target."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class State:
    """Everything remembered of one target.

    `pending` counts the latest results in a row that speak against `health`; `since` is the unix time of the last change of
    health, `checked` that of the last result (0.0: never). `transitions` counts changes between up and down, so that a start
    without knowledge is no flap.
    """

    health: Health = Health.UNKNOWN
    pending: Annotated[int, Field(ge=0)] = 0
    since: Finite = 0.0
    transitions: Annotated[int, Field(ge=0)] = 0
    last: Result | None = None
    checked: Finite = 0.0

    def to_json(self) -> dict[str, Any]:
        """The state as values of JSON, for a state file."""
        value: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return value

    @classmethod
    def from_json(cls, value: object) -> State:
        """The state that `to_json` wrote; `BadState` when it is none."""
        try:
            return _ADAPTER.validate_json(json.dumps(value), strict=True)  # as JSON: strict, and yet words become members
        except ValidationError as error:
            first = error.errors()[0]
            raise BadState(f"{'.'.join(map(str, first['loc'])) or 'state'}: {first['msg']}") from None
        except (TypeError, ValueError, RecursionError) as error:
            raise BadState(f"no value of JSON: {error}") from None


_ADAPTER = TypeAdapter(State)


def advance(state: State, outcome: Result | NoState, now: float, rise: int, fall: int) -> State:
    """The state after one more result at unix time `now`; `rise` and `fall` are at least 1.

    Up needs `fall` failures in a row to go down, down needs `rise` successes in a row to come up, and unknown believes the first
    result at once. An unknown endpoint is answered with, so to wait for `fall` failures there would send users to a dead
    address after each start, and to wait for `rise` successes would only delay readiness. One lost packet at a cold start costs
    `rise` rounds at most; HAProxy starts its servers one failure away from down for the same reason. A restart does not come
    here: it starts from the remembered state.

    An external state that has expired makes the health unknown at once: its age limit was the waiting.
    """
    match outcome:
        case NoState(reason):
            return _forgotten(state, Result(False, reason, 0.0, None, ""), now)  # noqa: FBT003 -- Result(ok, …)
        case Result():
            pass
        case _:
            assert_never(outcome)
    told = replace(state, last=outcome, checked=now)
    found = Health.UP if outcome.ok else Health.DOWN
    match state.health:
        case Health.UNKNOWN:
            return replace(told, health=found, pending=0, since=now)
        case Health.UP:
            needed = fall
        case Health.DOWN:
            needed = rise
        case _:
            assert_never(state.health)
    if found is state.health:
        return replace(told, pending=0)
    if state.pending + 1 < needed:
        return replace(told, pending=state.pending + 1)
    return replace(told, health=found, pending=0, since=now, transitions=state.transitions + 1)


def _forgotten(state: State, last: Result, now: float) -> State:
    since = state.since if state.health is Health.UNKNOWN else now
    return replace(state, health=Health.UNKNOWN, pending=0, since=since, last=last, checked=now)
