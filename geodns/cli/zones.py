"""Owns the verbs about zone files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import typer

from geodns import wire, zone
from geodns.cli.output import JsonOption, refuse, say, say_json, show_problems, usage
from geodns.problem import errors

app = typer.Typer(help="Zone files.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Zone files."""


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Master file (RFC 1035 §5).", readable=False)],
    origin: Annotated[str, typer.Option(help="The zone's name; else what the file's $ORIGIN, its SOA, or its name tells.")] = "",
    rfc3597: Annotated[
        bool, typer.Option("--rfc3597", help="Write GEO, POOL and WHOAMI in the generic form any server can load.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a zone's records one a line, sorted, complete: includes, series and defaults are resolved."""
    try:
        apex = wire.from_text(origin) if origin else zone.origin_of(file)
    except wire.BadName as error:
        usage(f"--origin {origin}: {error}")
    if apex is None:
        usage(f"what is the zone's name? {file} does not tell: give --origin")
    read = zone.read(file, apex)
    if errors(read.problems):
        refuse(read.problems)
    show_problems(read.problems)
    records = sorted(read.records, key=lambda record: _order(apex, record))
    if as_json:
        say_json([_fields(record, generic=rfc3597) for record in records])
        return
    for record in records:
        fields = _fields(record, generic=rfc3597)
        say(f"{fields['owner']}\t{fields['ttl']}\tIN\t{fields['type']}\t{fields['rdata']}".rstrip())


def _order(apex: wire.Name, record: zone.Record) -> tuple[object, ...]:
    """SOA first, then canonical order of names (RFC 4034 §6.1)."""
    labels = wire.labels(record.owner)[::-1]
    return (record.owner != apex or record.rdtype != wire.Type.SOA, labels, record.rdtype, record.rdata)


def _fields(record: zone.Record, *, generic: bool) -> dict[str, object]:
    rdtype = dns.rdatatype.RdataType.make(record.rdtype)
    private = record.rdtype in {wire.Type.GEO, wire.Type.POOL, wire.Type.WHOAMI}
    if generic and private:
        kind, text = f"TYPE{record.rdtype}", f"\\# {len(record.rdata)} {record.rdata.hex()}".rstrip()
    else:
        kind = dns.rdatatype.to_text(rdtype)
        text = dns.rdata.from_wire(dns.rdataclass.IN, rdtype, record.rdata, 0, len(record.rdata)).to_text()
    return {"owner": wire.to_text(record.owner), "ttl": record.ttl, "type": kind, "rdata": text}
