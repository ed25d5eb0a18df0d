"""``multipart/form-data`` (RFC 7578) with one file, read while it comes. Sans-I/O."""

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hotmic.errors import BadField, BadMessage, TooLarge
from hotmic.values import Value

FILE = "file"
"""Name of the field that holds the file."""
MAX_FIELDS = 200
MAX_FIELD_BYTES = 65_536
"""Bytes of all fields together, names and headers too."""


class FileStarted(Value, frozen=True, kw_only=True):
    """The file begins."""


class FileReceived(Value, frozen=True, kw_only=True):
    """Bytes of the file."""

    data: bytes


Part = FileStarted | FileReceived


class MultipartForm:
    """One form.

    Args:
        content_type: The header of the request.

    Raises:
        BadMessage: It is no form.
    """

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise BadMessage("The request must be multipart/form-data with a boundary.")
        self.fields: list[tuple[str, str]] = []
        """Names and values of what is no file, in order."""
        self.is_complete = False
        self.has_file = False
        self._parts: list[Part] = []
        self._spent = 0
        self._header = [b"", b""]
        self._name = ""
        self._value: bytearray | None = None
        callbacks = {
            "on_part_begin": self._begin,
            "on_part_data": self._take,
            "on_part_end": self._end,
            "on_header_field": lambda data, start, end: self._take_header(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._take_header(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_end": self._finish,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError as error:
            raise BadMessage("The boundary of the form cannot be used.") from error

    def receive_bytes(self, data: bytes) -> None:
        """Take bytes of the request.

        Raises:
            BadMessage: It is no form.
            BadField: A field cannot be taken.
            TooLarge: The fields are.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadMessage("The form is damaged.") from error

    def parts_to_read(self) -> list[Part]:
        """Drain what came of the file."""
        parts, self._parts = self._parts, []
        return parts

    def _begin(self) -> None:
        self._name, self._value, self._header = "", None, [b"", b""]
        self._disposition = b""
        self._spend(1)
        if len(self.fields) >= MAX_FIELDS:
            raise TooLarge(f"The form has more than {MAX_FIELDS} fields.")

    def _take_header(self, which: int, data: bytes) -> None:
        self._spend(len(data))
        self._header[which] += data

    def _end_header(self) -> None:
        if self._header[0].lower() == b"content-disposition":
            self._disposition = self._header[1]
        self._header = [b"", b""]

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = _text(options.get(b"name", b""), "A name in the form")
        if self._name != FILE:
            if b"filename" in options:
                raise BadField(f"The field {self._name[:64]!r} is a file; the file goes into 'file'.")
            self._value = bytearray()
            return
        if b"filename" not in options:
            raise BadField("The field 'file' must be a file, with a file name.")
        if self.has_file:
            raise BadField("The form holds two files.")
        self.has_file = True
        self._parts.append(FileStarted())

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._value is None:
            self._parts.append(FileReceived(data=data[start:end]))
        else:
            self._spend(end - start)
            self._value += data[start:end]

    def _end(self) -> None:
        if self._value is not None:
            self.fields.append((self._name, _text(bytes(self._value), f"The field {self._name[:64]!r}")))

    def _finish(self) -> None:
        self.is_complete = True

    def _spend(self, size: int) -> None:
        self._spent += size
        if self._spent > MAX_FIELD_BYTES:
            raise TooLarge(f"The fields of the form are larger than {MAX_FIELD_BYTES} bytes.")


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadField(f"{what} is not UTF-8.") from error
