"""Owns octets ↔ values: names, queries, EDNS, client subnets, cookies, responses; refuses to know zones, places and sockets."""

from geodns.wire.edns import BadOption, ClientSubnet, Edns, parse_client_subnet, subnet_of
from geodns.wire.names import ROOT, BadName, Name, from_text, is_subdomain, is_wildcard, labels, parent, suffixes, to_text
from geodns.wire.query import (
    SERVER_PAYLOAD_SIZE,
    FormErr,
    NotImplementedOpcode,
    Query,
    QueryFault,
    Silence,
    malformed,
    parse_cookie_query,
    parse_query,
    question_of,
    render_query,
)
from geodns.wire.records import Class, ExtendedError, Opcode, Option, Rcode, RRset, Type
from geodns.wire.response import MAX_MESSAGE, Response, render, udp_limit

__all__ = [
    "MAX_MESSAGE",
    "ROOT",
    "SERVER_PAYLOAD_SIZE",
    "BadName",
    "BadOption",
    "Class",
    "ClientSubnet",
    "Edns",
    "ExtendedError",
    "FormErr",
    "Name",
    "NotImplementedOpcode",
    "Opcode",
    "Option",
    "Query",
    "QueryFault",
    "RRset",
    "Rcode",
    "Response",
    "Silence",
    "Type",
    "from_text",
    "is_subdomain",
    "is_wildcard",
    "labels",
    "malformed",
    "parent",
    "parse_client_subnet",
    "parse_cookie_query",
    "parse_query",
    "question_of",
    "render",
    "render_query",
    "subnet_of",
    "suffixes",
    "to_text",
    "udp_limit",
]
