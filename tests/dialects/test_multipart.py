import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.dialects.multipart import FileReceived, FileStarted, MultipartForm
from hotmic.errors import BadField, BadMessage, HotmicError, TooLarge

KIND = "multipart/form-data; boundary=x"
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
FIELD = b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
SOUND = b"RIFF\r\n--\r\n--x-but-not-quite\x00\xff" * 3
WHOLE = FIELD + FILE + SOUND + b"\r\n--x--\r\n"


def read(pieces: list[bytes]) -> tuple[MultipartForm, int, bytes]:
    form, started, data = MultipartForm(KIND), 0, b""
    for piece in pieces:
        form.receive_bytes(piece)
        for part in form.parts_to_read():
            match part:
                case FileStarted():
                    started += 1
                case FileReceived(data=more):
                    data += more
    return form, started, data


@given(st.lists(st.integers(0, len(WHOLE)), max_size=30).map(sorted))
def test_how_a_form_is_cut_changes_nothing(cuts: list[int]) -> None:
    pieces = [WHOLE[a:b] for a, b in zip([0, *cuts], [*cuts, len(WHOLE)], strict=True)]
    form, started, data = read(pieces)
    assert (form.fields, started, data, form.is_complete) == ([("model", "whisper-1")], 1, SOUND, True)


def test_a_form_that_breaks_off_is_not_complete() -> None:
    assert not read([WHOLE[:-5]])[0].is_complete


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "\x00",
        f"multipart/form-data; boundary={'x' * 300}",
    ],
)
def test_what_is_no_form(kind: str) -> None:
    with pytest.raises(BadMessage):
        MultipartForm(kind)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"nonsense", BadMessage),
        (FILE + b"a\r\n" + FILE + b"b\r\n--x--", BadField),
        (FILE.replace(b'name="file"', b'name="other"') + b"a\r\n--x--", BadField),
        (FILE.replace(b'; filename="a.wav"', b"") + b"a\r\n--x--", BadField),
        (FIELD.replace(b"whisper-1", b"\xff") + b"--x--", BadField),
        (FIELD.replace(b"whisper-1", b"a" * 70_000) + b"--x--", TooLarge),
        (FIELD.replace(b"model", b"a" * 70_000) + b"--x--", BadMessage),
        (FIELD * 300, TooLarge),
    ],
    ids=[str(number) for number in range(8)],
)
def test_what_is_refused(body: bytes, kind: type[HotmicError]) -> None:
    with pytest.raises(kind):
        read([body])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_form_or_refused(noise: bytes) -> None:
    try:
        read([FIELD[:40] + noise, noise])
    except HotmicError as error:
        assert error.message.endswith(".")
