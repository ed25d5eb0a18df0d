"""The HTTP application without a socket, asked as a browser or a script would ask it."""

from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from hotmic.app import find_web
from hotmic.net.container import ContainerLimits
from hotmic.net.gateway import build_gateway
from hotmic.net.health import Health, verdict
from hotmic.net.limit import Quota
from hotmic.net.openai_rest import OpenAiRest
from hotmic.net.reception import Reception
from hotmic.net.security import Access, Tokens
from hotmic.net.series import Series
from hotmic.net.sharing import Sharing
from hotmic.values import ModelStatus
from net_support import House

PORTS = {"http": 8000, "control": 8765, "audio": 8766}


class Front:
    """A house with a gateway.

    Args:
        folder: For its registry.
        models: What the pool says of its models.
        tokens: The tokens there are.
        origins: The setting ``allowed_origins``.
        allow_null: The setting ``allow_null_origin``.
        more: See ``House``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        models: tuple[ModelStatus, ...] = (),
        tokens: Tokens | None = None,
        origins: tuple[str, ...] = (),
        allow_null: bool = False,
        **more: Any,
    ) -> None:
        self.house = house = House(folder, tokens=tokens, **more)
        self.models, self.is_draining = models, False
        house.pool.status = lambda: list(self.models)  # type: ignore[method-assign]
        self.reception = Reception("http", house.services, {"/ws/audio": "audio"})
        access = Access(
            host="127.0.0.1",
            tokens=tokens or Tokens({}),
            allow_anonymous=True,
            allowed_origins=origins,
            allow_null_origin=allow_null,
        )
        house.services.metrics.registry.register(
            Series(
                model_ids=lambda: [spec.id for spec in house.control.registry.specs],
                models=house.pool.status,
                held_audio=house.runner.held_audio,
                problem=self._problem,
            )
        )
        house.services.metrics.registry.register(house.services.roster)
        self.app = build_gateway(
            control=house.control,
            metrics=house.services.metrics,
            access=access,
            web=find_web(),
            ports=lambda: PORTS,
            paths={"control": {"/": "control"}, "audio": {"*": "audio"}},
            health=Health(
                control=house.control,
                pool=house.pool,
                roster=house.services.roster,
                places={},
                problem=self._problem,
            ),
            reception=self.reception,
            sharing=Sharing(origins, allow_null=allow_null),
            rest=OpenAiRest(
                house.services, house.pool, limits=ContainerLimits(), files=Quota("files", per_address=4, per_token=4)
            ),
        )

    def _problem(self) -> str:
        return verdict(self.models, current=self.house.pool.current, is_draining=self.is_draining)

    @property
    def registry(self) -> CollectorRegistry:
        """All series."""
        return self.house.services.metrics.registry

    async def ask(self, path: str, method: str = "GET", *, body: bytes | None = None, **headers: str) -> httpx.Response:
        """Ask; underscores in names of headers stand for hyphens."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, content=body, headers=named)
