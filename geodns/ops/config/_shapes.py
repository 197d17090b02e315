"""Owns what tables are made of: the kinds of text and lists that keys hold, each with its judge; refuses to know the tables."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from geodns.ops.config import _judges


def pattern(text: str) -> Any:
    """For editors only: the schema's pattern. The judge beside it decides, in words that a human can use."""
    return Field(json_schema_extra={"pattern": text})


class Table(BaseModel):
    """A table of the configuration: closed, frozen, and without conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Item = TypeVar("Item")
Items = Annotated[tuple[Item, ...], Strict(strict=False)]  # TOML gives lists; what is frozen holds tuples
ListenText = Annotated[str, AfterValidator(_judges.listen)]
AdminListenText = Annotated[str, AfterValidator(_judges.admin_listen)]
DnstapText = Annotated[str, AfterValidator(_judges.dnstap)]
HostText = Annotated[str, AfterValidator(_judges.host)]
NetworkText = Annotated[str, AfterValidator(_judges.looked_up_network)]
ClientText = Annotated[str, AfterValidator(_judges.client)]
AddressOrNone = Annotated[str, AfterValidator(_judges.address_or_none)]
EndpointAddress = Annotated[str, AfterValidator(_judges.endpoint_address)]
PathText = Annotated[str, AfterValidator(_judges.path)]
PathOrNone = Annotated[str, AfterValidator(_judges.path_or_none)]
UrlPath = Annotated[str, AfterValidator(_judges.url_path)]
CharacterString = Annotated[str, AfterValidator(_judges.character_string)]
RegionName = Annotated[str, AfterValidator(_judges.region_name), pattern(f"^{_judges.REGION.pattern}$")]
PoolPartName = Annotated[str, AfterValidator(_judges.pool_part_name), pattern(f"^{_judges.POOL_PART.pattern}$")]
SelectorText = Annotated[str, AfterValidator(_judges.selector_text)]
DomainName = Annotated[str, AfterValidator(_judges.domain_name)]
DomainNameOrNone = Annotated[str, AfterValidator(_judges.domain_name_or_none)]
RecordType = Annotated[str, AfterValidator(_judges.record_type)]
ResponseCode = Annotated[str, AfterValidator(_judges.rcode)]
RungText = Annotated[str, AfterValidator(_judges.rung), Field(json_schema_extra={"enum": list(_judges.LADDER)})]
Workers = Annotated[Annotated[int, Field(ge=1, le=1024)] | Literal["auto"], BeforeValidator(_judges.workers)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
