"""Which pages of other origins may read what the HTTP routes answer (CORS, the Fetch standard, section 3.2).

A page of an allowed origin is told by name, never by ``*``, and cookies are not for it: tokens travel in the
``Authorization`` header. Everybody else hears nothing, so that the browser keeps the answer from the page.
"""

from collections.abc import Sequence

METHODS = ("GET", "POST")
HEADERS = "Authorization, Content-Type"
"""What a page may send beyond the plain headers."""
MAX_AGE = 600
"""Seconds for which a browser need not ask again."""


class Sharing:
    """The origins whose pages may read answers.

    Args:
        origins: As in the setting ``allowed_origins``.
        allow_null: Whether pages from disk and sandboxed frames are among them.
    """

    def __init__(self, origins: Sequence[str], *, allow_null: bool = False) -> None:
        self._origins = {origin.lower().rstrip("/") for origin in origins} - {"null", "*"}
        if allow_null:
            self._origins.add("null")

    def headers(self, origin: str | None) -> dict[str, str]:
        """Return what every answer to a page carries; nothing for an origin that is not allowed."""
        if origin not in self._origins:
            return {}
        return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "Retry-After, WWW-Authenticate"}

    def preflight(self, origin: str | None, wanted: str | None, methods: Sequence[str]) -> dict[str, str] | None:
        """Return what a preflight request is answered with; ``None`` where it is none, or not to be granted.

        Args:
            origin: Who asks.
            wanted: The header ``Access-Control-Request-Method``.
            methods: What the path takes.
        """
        shared = self.headers(origin)
        if not shared or wanted not in methods:
            return None
        return {
            **shared,
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": HEADERS,
            "Access-Control-Max-Age": str(MAX_AGE),
        }
