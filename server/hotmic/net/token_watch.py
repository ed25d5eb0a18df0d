"""The tokens file while the daemon runs: edits count, and who lost its token is shown out."""

import asyncio
from pathlib import Path

import structlog

from hotmic.config.edit import EditedFile
from hotmic.config.token_file import TokenList, load
from hotmic.errors import ConfigError
from hotmic.net.roster import Roster
from hotmic.net.security import Access, Tokens

log = structlog.get_logger(__name__)


class TokenWatch:
    """Follow a tokens file.

    Args:
        path: The file; ``None`` where no tokens are configured.
        access: Told of new tokens.
        roster: Whose connections are judged again.
    """

    def __init__(self, path: Path | None, access: Access, roster: Roster) -> None:
        self._access, self._roster = access, roster
        self._file = EditedFile[TokenList](path, load(path), load) if path is not None else None
        self.problem = ""
        """Why the newest edit was not taken; empty when it was."""

    async def look(self) -> None:
        """Take an edit, and judge every connection and file; call it about once a second."""
        if self._file is None:
            return
        try:
            await self._read(self._file)
        finally:
            self._roster.check_grants()  # tokens also expire while their file cannot be read

    async def _read(self, file: EditedFile[TokenList]) -> None:
        match await asyncio.to_thread(file.changed):
            case TokenList(entries=entries):
                self._access.replace_tokens(Tokens.of(entries))
                self.problem = ""
                log.info("The tokens file was edited.", tokens=len(entries))
            case ConfigError() as error:
                self.problem = "The tokens file was edited and cannot be used; the old tokens stay. The log says why."
                log.error("The tokens file was edited and cannot be used; the old tokens stay.", reason=error.message)
