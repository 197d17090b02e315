"""Owns sticky cells: networks of one size, dealt out to buckets by hash for good; refuses to know what a bucket stands for."""

from __future__ import annotations

from dataclasses import dataclass

from geodns.geo.address import BITS, Place, Version
from geodns.geo.partition import FIRST_RULE, Cell

BUCKETS = 4096
"""So many that the shares of ten equal choices differ from each other by 5 % (one standard deviation)."""

STICKY_LENGTH: dict[Version, int] = {4: 24, 6: 56}
"""What resolvers send at most (RFC 7871 §11.1), so that they can cache by exactly these networks."""

_WORD = 0xFFFF_FFFF_FFFF_FFFF


def mix(number: int) -> int:
    """Spread a number of any size evenly over 64 bits, the same in every process: the finaliser of splitmix64, Steele 2014."""
    mixed = 0
    while True:
        mixed = (mixed ^ (number & _WORD)) + 0x9E37_79B9_7F4A_7C15 & _WORD
        mixed = (mixed ^ mixed >> 30) * 0xBF58_476D_1CE4_E5B9 & _WORD
        mixed = (mixed ^ mixed >> 27) * 0x94D0_49BB_1331_11EB & _WORD
        mixed ^= mixed >> 31
        number >>= 64
        if not number:
            return mixed


def network_number(place: Place, length: int) -> int:
    """A number for the network of this prefix length around an address; the families do not share numbers."""
    bits = BITS[place.version]
    return (place.address >> (bits - length) << 8 | length) << 1 | (place.version == 6)


@dataclass(frozen=True, slots=True)
class Buckets:
    """A partition of all addresses into networks of one length, each in a bucket: outcome FIRST_RULE + bucket.

    What decides is not where a network is but that it stays, so private and anycast addresses are dealt out like any other.
    """

    def find(self, place: Place) -> Cell:
        """The bucket of an address's network; IPv4 inside IPv6 gets the scope of the whole IPv6 prefix."""
        length = STICKY_LENGTH[place.version]
        bucket = mix(network_number(place, length)) % BUCKETS
        return Cell(FIRST_RULE + bucket, length + place.embedded_bits)

    def is_named(self, _place: Place) -> bool:
        """No network of the operator decides here."""
        return False
