"""Pictures: from files that may be read, from public addresses, upright and whole; anything else is refused."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from PIL import Image

from dw_lsp.planning.input_files import InputFiles
from dw_lsp.planning.step_keys import iteration_key
from dw_lsp.worker.engine.allowed_paths import AllowedPaths
from dw_lsp.worker.engine.downloads import Fetched, download, is_address, is_public
from dw_lsp.worker.engine.media import Media, decode
from dw_lsp.workflow.resolved import InvalidInput


def picture(format: str = "PNG", size: tuple[int, int] = (6, 4), **options: object) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, "red").save(data, format, **options)
    return data.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/picture.png")
            self.end_headers()
            return
        if self.path == "/absent":
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        if self.path == "/counted":
            self.wfile.write(str(len(self.asked)).encode())
        else:
            self.wfile.write(picture("GIF" if self.path == "/other.png" else "PNG"))

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def anybody(address: str) -> bool:
    return True


def test_a_download_follows_redirections(address: str) -> None:
    assert download(f"{address}/moved", anybody) == picture()


def test_a_download_in_bounds_of_size(address: str) -> None:
    with pytest.raises(InvalidInput, match="larger than"):
        download(f"{address}/picture.png", anybody, largest=10)


def test_what_is_not_there_is_told(address: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be downloaded: Not Found"):
        download(f"{address}/absent", anybody)
    with pytest.raises(InvalidInput, match="cannot be downloaded"):
        download("http://127.0.0.1:1/x.png", anybody)


def test_an_internal_address_is_refused_before_anything_is_sent(address: str) -> None:
    with pytest.raises(InvalidInput, match="refused"):
        download(f"{address}/picture.png")


def test_a_redirection_to_an_internal_address_is_refused(address: str) -> None:
    asked: list[str] = []

    def first_only(host: str) -> bool:
        asked.append(host)
        return len(asked) == 1

    with pytest.raises(InvalidInput, match="refused"):
        download(f"{address}/moved", first_only)
    assert len(asked) == 2


def test_other_protocols_are_no_addresses(address: str) -> None:
    with pytest.raises(InvalidInput):
        download("ftp://example.org/a.png", anybody)
    assert not is_address("file:///etc/passwd") and is_address("HTTPS://example.org")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1%eth0",
     "fc00::1", "::ffff:127.0.0.1", "224.0.0.1", "100.64.0.1"],
)  # fmt: skip
def test_internal_hosts(host: str) -> None:
    assert not is_public(host)


def test_public_hosts() -> None:
    assert is_public("93.184.216.34") and is_public("2606:2800:220:1:248:1893:25c8:1946")


def test_a_step_is_remembered_by_what_an_address_gives_which_is_fetched_once(address: str) -> None:
    fetched = Fetched(anybody)
    files = InputFiles(None, lambda url: fetched.digest(url, lambda: None))
    before = len(Handler.asked)

    def key(path: str) -> str | None:
        return iteration_key("pipeline", {"image": f"{address}{path}"}, 7, "here", files, frozenset())

    assert key("/one.png") == key("/two.png") != key("/other.png") and key("/absent") is None
    media = Media(AllowedPaths([]), None, fetched=fetched)
    assert media.image(f"{address}/one.png").size == (6, 4)
    with media.file(f"{address}/one.png") as path:
        assert path.read_bytes() == picture()
    with pytest.raises(InvalidInput, match="Not Found"):
        media.image(f"{address}/absent")
    assert Handler.asked[before:] == ["/one.png", "/two.png", "/other.png", "/absent"]


def test_what_an_address_gave_is_not_held_without_bound(address: str) -> None:
    fetched, before = Fetched(anybody, held=10), len(Handler.asked)
    for path in ("/one.png", "/two.png", "/one.png", "/one.png"):
        fetched.bytes_of(f"{address}{path}", lambda: None)
    assert Handler.asked[before:] == ["/one.png", "/two.png", "/one.png"]
    for _ in range(2):
        fetched.bytes_of(f"{address}/counted", lambda: None)
    fetched.bytes_of(f"{address}/one.png", lambda: None)
    with pytest.raises(InvalidInput, match="something else before"):
        fetched.bytes_of(f"{address}/counted", lambda: None)


# ---------------------------------------------------------------- decoding and paths


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_known_formats_become_rgb(format: str) -> None:
    image = decode(picture(format), "a")
    assert (image.mode, image.size) == ("RGB", (6, 4))


def test_a_turned_photograph_is_set_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(picture("JPEG", exif=exif), "a").size == (4, 6)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no picture", "no picture that can be read"),
        (picture("BMP")[:-20], "damaged"),
        (picture("TIFF"), "no picture"),
    ],
)
def test_what_is_no_picture(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        decode(data, "a.png")


def test_relative_paths_start_at_the_workflow(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    media = Media(AllowedPaths([tmp_path]), tmp_path)
    assert media.image("a.png").size == (6, 4)
    assert [path.name for path in media.find("*.png")] == ["a.png"]


def test_a_document_without_a_folder_reads_no_relative_path(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no folder yet"):
        Media(AllowedPaths([tmp_path]), None).image("a.png")


def test_a_pattern_is_sorted_and_leaves_out_what_is_no_picture(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.txt"):
        (tmp_path / name).write_bytes(picture())
    (tmp_path / "d.png").mkdir()
    assert [path.name for path in Media(AllowedPaths([tmp_path]), tmp_path).find("*")] == ["a.jpg", "b.png"]


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/self/environ", "x\0y", "a" * 5000, "b" * 300])
def test_paths_that_are_never_read(path: str) -> None:
    with pytest.raises(InvalidInput):
        AllowedPaths([Path("/")]).resolve(path, Path("/"), "the image")
