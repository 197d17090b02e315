"""geodns: an anycast-aware GeoDNS server that can say why each client got its answer."""

__version__ = "0.1.0"
