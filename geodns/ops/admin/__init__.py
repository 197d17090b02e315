"""Owns the admin door: who may come in over HTTP, and what the API is called; refuses to know what is served to DNS.

sock = bind("127.0.0.1:9153")                               # before privileges are dropped or processes forked
app = application(keeper, access(sock, hosts=(), token=""))
await serve(app, sock, shutdown)                            # in the process that keeps the door
"""

from geodns.ops.admin._guard import Access, access
from geodns.ops.admin._openapi import document
from geodns.ops.admin._routes import OPERATIONS, Keeper, application
from geodns.ops.admin._serving import serve
from geodns.ops.admin._sockets import bind, release

__all__ = ["OPERATIONS", "Access", "Keeper", "access", "application", "bind", "document", "release", "serve"]
