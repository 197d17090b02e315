"""A miniature Internet in network namespaces: what an event does to the users of anycast, and to those of GeoDNS beside it."""
