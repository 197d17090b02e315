"""Owns what may stand in the body of a request, and its JSON Schema; refuses to know what is done with it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

_LONGEST_TIME = 366 * 86_400.0  # s


def one_line(text: str) -> str:
    """Text that stays one line of the log, whatever is in it."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


Reason = Annotated[str, Field(max_length=500, description="Why, for the log and for whoever asks."), AfterValidator(one_line)]


class Body(BaseModel):
    """One JSON object; what it may not have is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ReloadBody(Body):
    """How to reload."""

    force: bool = Field(default=False, description="Load also what would be refused because too much of a zone would go.")
    reason: Reason = ""


class ReasonBody(Body):
    """Why something is done."""

    reason: Reason = ""


class DrainBody(ReasonBody):
    """Why clients are asked to leave, and what then."""

    stop: bool = Field(default=False, description="Stop the daemon when they have left; only where the prefixes are announced.")
    last: bool = Field(default=False, description="Do it also where no other instance answers.")


class OverrideBody(Body):
    """The operator's word on pools, sites or endpoints."""

    pattern: str = Field(
        min_length=1, max_length=500, description="POOL, POOL/SITE or POOL/SITE/ENDPOINT; * and ? stand for any characters."
    )
    word: Literal["up", "down", "drain", "auto"] = Field(description='What holds, whatever checks say; "auto" ends it.')
    seconds: Annotated[float, Field(gt=0, le=_LONGEST_TIME, allow_inf_nan=False)] | None = Field(
        default=None, description="For how long; null = until it is ended."
    )
    reason: Reason = ""


class HealthBody(Body):
    """The state of an external health check."""

    up: bool = Field(description="Whether it is up.")


AnyBody = TypeVar("AnyBody", bound=Body)


class BadBody(ValueError):
    """A body that is not what it must be; the message says where and why, `remedy` what to do."""

    remedy = "see /openapi.json for what may be asked"


def parse(kind: type[AnyBody], octets: bytes) -> AnyBody:
    """Read a body; no octets at all are an object without members. Raises BadBody, which names every fault."""
    try:
        return kind.model_validate_json(octets or b"{}")
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, found['loc'])) or 'body'}: {found['msg']}" for found in error.errors(include_url=False)]
        raise BadBody("; ".join(faults)) from None
