"""The OpenAPI and the AsyncAPI document as pages that need nothing but themselves: no script, no other host."""

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

Json = Mapping[str, Any]

_BOUNDS = (
    ("pattern", "like {}"),
    ("minimum", "from {}"),
    ("maximum", "to {}"),
    ("maxLength", "up to {} characters"),
    ("maxItems", "up to {} items"),
)
_FRAMES = {"application/octet-stream": "binary frame", "text/plain": "text frame"}


def routes_page(document: Json) -> str:
    """Return an OpenAPI document as a page."""
    body: list[str] = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            title = f"{method.upper()} {path}"
            body.append(_section(title, operation.get("summary", ""), operation.get("description", "")))
            rows = [
                (p["name"], _shape(p["schema"]), f"in the {p['in']}", p.get("description", ""))
                for p in operation.get("parameters", ())
            ]
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                rows += [(name, shape, kind, note) for name, shape, note in _fields(_resolve(content, document))]
            rows += [(code, "", "answer", reply["description"]) for code, reply in operation["responses"].items()]
            body.append(_table(("name", "type", "where", "meaning"), rows))
    return _page("hotmic over HTTP", '<a href="/openapi.json">openapi.json</a>', "".join(body))


def messages_page(document: Json) -> str:
    """Return an AsyncAPI document as a page."""
    body: list[str] = []
    for name, channel in document["channels"].items():
        where = [document["servers"][_last(server)] for server in channel["servers"]]
        urls = (f"{server['protocol']}://{server['host']}{channel['address']}" for server in where)
        body.append(_section(name, "  ".join(urls), channel["summary"]))
        body.append(f"<h3>In the URL</h3>{_schema(channel['bindings']['ws']['query'])}")
        for action, title in (("receive", "Clients send"), ("send", "Clients hear")):
            body.append(f"<h3>{title}</h3>")
            for reference in document["operations"][f"{name}.{action}"]["messages"]:
                body.append(_message(document["components"]["messages"][_last(reference)], document))
    body.append("<h2>Parts of messages</h2>")
    spoken = {_last(m["payload"]) for m in document["components"]["messages"].values() if "payload" in m}
    for name, schema in document["components"]["schemas"].items():
        if name not in spoken:
            body.append(_details(name, schema.get("description", ""), schema))
    return _page("hotmic over WebSockets", '<a href="/asyncapi.yaml">asyncapi.yaml</a>', "".join(body))


def _message(message: Json, document: Json) -> str:
    if "payload" not in message:
        return f"<p><code>{escape(_FRAMES[message['contentType']])}</code> {_text(message['summary'])}</p>"
    return _details(message["name"], message["summary"], document["components"]["schemas"][_last(message["payload"])])


def _details(name: str, summary: str, schema: Json) -> str:
    title = f"<code>{escape(name)}</code> <p>{_text(summary)}</p>"
    return f"<details><summary>{title}</summary>{_schema(schema)}</details>"


def _schema(schema: Json) -> str:
    return _table(("field", "type", "meaning"), list(_fields(schema)))


def _fields(schema: Json) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        notes = ("" if name in required else "optional", field.get("description", ""))
        yield name, _shape(field), "; ".join(filter(None, notes))


def _shape(schema: Json) -> str:
    """Return a type in words; a part of messages as its name."""
    if "$ref" in schema:
        return _last(schema)
    if "anyOf" in schema:
        return " or ".join(_shape(one) + _note(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        words = f"list of {_shape(schema.get('items', {}))}"
    elif schema.get("contentEncoding"):
        words = str(schema["contentEncoding"])
    else:
        words = str(schema.get("type", "anything"))
    return words + "".join(f", {bound.format(schema[key])}" for key, bound in _BOUNDS if key in schema)


def _note(schema: Json) -> str:
    return f" ({schema['description']})" if "description" in schema else ""


def _resolve(content: Json, document: Json) -> Json:
    schema: Json = content.get("schema", {})
    return document["components"]["schemas"][_last(schema)] if "$ref" in schema else schema


def _text(words: str) -> str:
    """Return a sentence as HTML; what stands in backticks is code."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", escape(words))


def _last(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _section(title: str, subtitle: str, text: str) -> str:
    paragraphs = "".join(f"<p>{_text(part)}</p>" for part in text.split("\n\n") if part)
    return f"<h2>{escape(title)}</h2><p><strong>{escape(subtitle)}</strong></p>{paragraphs}"


def _table(heads: tuple[str, ...], rows: list[Any]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{head}</th>' for head in heads)
    lines = ("".join(f"<td>{_text(str(cell))}</td>" for cell in row) for row in rows)
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table>"
    )


def _page(title: str, source: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/manual.css"></head>'
        f"<body><main><h1>{escape(title)}</h1><p>{source}</p>{body}</main></body></html>\n"
    )
