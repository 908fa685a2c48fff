"""Accounts for tests: made in a moment, with cheap hashes and tokens of any scope."""

from __future__ import annotations

import base64
import json
import os

from support import request

from audiokit import accounts, credentials

QUICK = "scrypt$16$8$1"  # a log-in makes it anew with today's parameters: where that matters, tests say so


def now_ms():
    """Long ago, as far as expiry is concerned."""
    return 1_700_000_000_000


class Person:
    """An account of a running server, and requests in its name with a token of every scope."""

    def __init__(self, server, name, admin=False, password="sesame of " + "ann"):
        self.server, self.name, self.password = server, name, password
        self.people = server.server.storage.people
        assert self.people.add(name, credentials.hash_password(password, os.urandom(16), QUICK), admin, now_ms())
        self.id = self.people.named(name).id
        self.every = self.token(*[scope for scope in accounts.SCOPES if admin or scope != "admin"])

    def token(self, *scopes, expires_ms=None):
        """A token of these scopes."""
        token = credentials.new_token(os.urandom(credentials.TOKEN_CHANCE_BYTES))
        assert self.people.add_token(token.id, self.id, token.digest, scopes, "", now_ms(), expires_ms)
        return token.text

    def ask(self, method, target, body=None, token=None, **headers):
        """(status, fields, body as JSON where it is JSON) of a request with a token."""
        return ask(self.server, method, target, body, Authorization="Bearer " + (token or self.every), **headers)

    def post(self, name, data):
        """Store a file; its record."""
        status, _, record = self.ask("POST", "/post?name=" + name, data)
        assert status == 201, record
        return record


def basic(name, password):
    """An Authorization field."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def ask(server, method, target, body=None, **headers):
    """(status, fields, body as JSON where it is JSON) of a request."""
    status, fields, text = request(server.address, method, target, body, headers)
    is_json = "json" in fields.get("content-type", "") and method != "HEAD"
    return status, fields, json.loads(text) if is_json else text
