"""Owns the keepers: configuration and the upkeep of databases; refuses to know how a query is answered."""
