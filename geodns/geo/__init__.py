"""Owns the planet: databases, networks, anycast prefixes, selectors, partitions; refuses to know DNS at all."""

from geodns.geo.address import Address, Network, Place, Version, embedded_ipv4, place_of, prefix_around
from geodns.geo.anycast import AnycastPrefix
from geodns.geo.atlas import Atlas
from geodns.geo.buckets import BUCKETS, STICKY_LENGTH, Buckets, mix, network_number
from geodns.geo.database import Database, embedded
from geodns.geo.egress import EgressPrefix
from geodns.geo.location import Located, Location, State
from geodns.geo.mmdb import BadDatabase, MmdbDatabase, open_all
from geodns.geo.nearness import Nearness, Spot, by_distance, distance
from geodns.geo.partition import FALLBACK, FIRST_RULE, Cell, Partition
from geodns.geo.rules import Rule, Winner, overlaps, rule_of, winner
from geodns.geo.selector import BadSelector, NetSelector, PlaceSelector, RegionSelector, Selector, likely, parse, parse_place

__all__ = [
    "BUCKETS",
    "FALLBACK",
    "FIRST_RULE",
    "STICKY_LENGTH",
    "Address",
    "AnycastPrefix",
    "Atlas",
    "BadDatabase",
    "BadSelector",
    "Buckets",
    "Cell",
    "Database",
    "EgressPrefix",
    "Located",
    "Location",
    "MmdbDatabase",
    "Nearness",
    "NetSelector",
    "Network",
    "Partition",
    "Place",
    "PlaceSelector",
    "RegionSelector",
    "Rule",
    "Selector",
    "Spot",
    "State",
    "Version",
    "Winner",
    "by_distance",
    "distance",
    "embedded",
    "embedded_ipv4",
    "likely",
    "mix",
    "network_number",
    "open_all",
    "overlaps",
    "parse",
    "parse_place",
    "place_of",
    "prefix_around",
    "rule_of",
    "winner",
]
