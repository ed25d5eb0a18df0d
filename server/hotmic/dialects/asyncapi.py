"""The WebSocket protocols as an AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hotmic.dialects.catalogue import Exchange, Raw
from hotmic.dialects.wish import NAME

Json = dict[str, Any]

_NAME: Json = {"type": "string", "pattern": f"^{NAME.pattern}$"}
QUERY: Json = {
    "channel": {**_NAME, "description": "the channel to speak in and to hear"},
    "session": {**_NAME, "description": "the name that the session should have"},
    "client_id": {**_NAME, "description": "what the client calls itself"},
    "model": {**_NAME, "description": "the model of this session"},
    "sample_rate": {
        "type": "integer",
        "minimum": 4000,
        "maximum": 192_000,
        "description": "hertz of binary frames",
    },
    "token": {"type": "string", "description": "where the daemon has tokens; a header is better, URLs end up in logs"},
}
"""What a URL may say; ``Exchange.query`` names those of a dialect."""


def build_document(
    exchanges: Mapping[str, Exchange],
    *,
    paths: Mapping[str, Mapping[str, str]],
    servers: Mapping[str, str],
    protocol: str,
    version: str,
    any_path: str,
) -> Json:
    """Return the document as plain values.

    Args:
        exchanges: The messages of every dialect.
        paths: The dialect of each path of each listener; of the HTTP port under ``gateway``.
        servers: Host and port of each listener.
        protocol: ``ws``, or ``wss`` where all of them speak TLS.
        version: Of hotmic.
        any_path: What stands in a table of paths for all of them.
    """
    structs = {m for exchange in exchanges.values() for m in (*exchange.received, *exchange.sent) if _is_struct(m)}
    ordered = sorted(structs, key=lambda struct: (struct.__module__, struct.__qualname__))
    references, schemas = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    names = {
        struct: str(reference["$ref"]).rpartition("/")[2] for struct, reference in zip(ordered, references, strict=True)
    }
    messages: Json = {}
    channels: Json = {}
    operations: Json = {}
    for dialect, exchange in exchanges.items():
        used = {_name(m, names): m for m in (*exchange.received, *exchange.sent)}
        messages |= {name: _message(m, name) for name, m in used.items()}
        for channel, (address, where) in _places(dialect, paths, any_path).items():
            others = [path for path, name in paths["gateway"].items() if name == dialect and path != address]
            channels[channel] = _channel(channel, exchange, address, others if channel == dialect else [], used, where)
            for action, said in (("receive", exchange.received), ("send", exchange.sent)):
                operations[f"{channel}.{action}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{channel}"},
                    "messages": [{"$ref": f"#/channels/{channel}/messages/{_name(m, names)}"} for m in said],
                }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "hotmic",
            "version": version,
            "description": "The WebSocket protocols of a real-time speech-to-text daemon. "
            "An operation `receive` is what clients send, `send` is what they hear.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {name: {"host": host, "protocol": protocol} for name, host in servers.items()},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _places(
    dialect: str, paths: Mapping[str, Mapping[str, str]], any_path: str
) -> dict[str, tuple[str | None, list[str]]]:
    """Return the address and the listeners of every channel of a dialect.

    Its first one bears its name and has the address of the HTTP port; listeners that know it under others alone have
    one of their own.
    """
    usual = next((path for path, name in paths["gateway"].items() if name == dialect), None)
    places: dict[str, tuple[str | None, list[str]]] = {dialect: (usual, [])}
    for listener, table in paths.items():
        mine = [path for path, name in table.items() if name == dialect]
        if usual is not None and table.get(usual, table.get(any_path)) == dialect:
            places[dialect][1].append(listener)
        elif mine:
            places[f"{dialect}.{listener}"] = ("/" if mine[0] == any_path else mine[0], [listener])
    return places


def _channel(
    name: str,
    exchange: Exchange,
    address: str | None,
    others: Sequence[str],
    used: Mapping[str, Any],
    listeners: Sequence[str],
) -> Json:
    also = f" Also at {', '.join(others)}." if others else ""
    return {
        "address": address,
        "title": name,
        "summary": exchange.summary + also,
        "servers": [{"$ref": f"#/servers/{listener}"} for listener in listeners],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in used},
        "bindings": {"ws": {"query": {"type": "object", "properties": {name: QUERY[name] for name in exchange.query}}}},
    }


def _message(message: Any, name: str) -> Json:
    if isinstance(message, Raw):
        return {"name": name, "summary": message.summary, "contentType": message.content_type}
    tag = message.__struct_config__.tag
    return {
        "name": name if tag is None else str(tag),
        "summary": (message.__doc__ or "").strip().partition("\n")[0],
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }


def _name(message: Any, names: Mapping[Any, str]) -> str:
    return message.name if isinstance(message, Raw) else names[message]


def _is_struct(message: Any) -> bool:
    return not isinstance(message, Raw)
