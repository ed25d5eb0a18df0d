"""The pages of the interfaces: everything on them, nothing from elsewhere, nothing that the policy forbids."""

import asyncio
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from starlette.routing import Mount

from gateway_support import Front
from hotmic.net import manual

PAGES = ("/docs", "/asyncapi.html")


class Reader(HTMLParser):
    """Notes the tags of a page, what it links to, and whether every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}
        if tag not in ("meta", "link", "br", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_nothing_but_this_daemon(tmp_path: Path, path: str) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        answer = await front.ask(path)
        assert answer.status_code == 200
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        reader = Reader(answer.text)
        assert not reader.tags & {"script", "style", "iframe", "object", "form"}
        assert not {name for name in reader.attributes if name.startswith("on") or name == "style"}
        for link in reader.links:
            assert re.match(r"/[^/]", link), link
            assert (await front.ask(link)).status_code == 200

    asyncio.run(main())


def test_every_route_is_described(tmp_path: Path) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        described = (await front.ask("/openapi.json")).json()["paths"]
        page = (await front.ask("/docs")).text
        for path, methods in described.items():
            for method, operation in methods.items():
                assert f"{method.upper()} {path}" in page
                assert operation["summary"]
        shown = {"/health", "/health/live", "/health/ready", "/health/extended", "/metrics"}
        assert shown < described.keys()
        assert {"/v1/models/{model_id}/load", "/v1/models/{model_id}/unload"} < described.keys()
        hidden = {"/config.json", "/openapi.json", "/docs", "/asyncapi.yaml", "/asyncapi.html"}
        paths = {r.path.replace(":path", "") for r in front.app.routes if not isinstance(r, Mount)}  # type: ignore[attr-defined]
        assert paths - hidden - {"/{path}"} == described.keys()

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:9999", "[::1]:8000"])
def test_the_document_and_its_page_say_the_same(tmp_path: Path, host: str) -> None:
    async def main() -> None:
        front = Front(tmp_path)
        answer = await front.ask("/asyncapi.yaml", Host=host)
        assert answer.headers["Content-Type"] == "application/yaml"
        document = yaml.safe_load(answer.text)
        name = host.rpartition(":")[0]
        assert {s["host"] for s in document["servers"].values()} == {f"{name}:{n}" for n in (8000, 8765, 8766)}
        assert (await front.ask("/asyncapi.html", Host=host)).text == manual.messages_page(document)
        page = (await front.ask("/asyncapi.html", Host=host)).text
        for message in document["components"]["messages"].values():
            assert re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(message["summary"])) in page
        for part in ("ModelRow", "WordRow", "LastExit", "ErrorDetails", "HeardWord"):
            assert f"<code>{part}</code>" in page
        assert re.search(r"<td>timestamp</td><td>string</td><td>ISO 8601, UTC</td>", page)

    asyncio.run(main())


def test_what_is_described_is_text() -> None:
    nasty = "`<script>alert(1)</script>`"
    document = {
        "paths": {
            f"/{nasty}": {
                "post": {
                    "summary": nasty,
                    "description": nasty,
                    "parameters": [{"name": nasty, "in": "path", "schema": {"type": nasty}}],
                    "responses": {"200": {"description": nasty}},
                }
            }
        }
    }
    page = manual.routes_page(document)
    assert "script" not in Reader(page).tags
    assert page.count("&lt;script&gt;") == 6
