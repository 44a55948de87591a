import hashlib
import io
import re
import shutil
import stat
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from pictures import class_folders, npz, wbc

from zoo import paths
from zoo.data import archive, card, fetch
from zoo.data.load import load
from zoo.errors import ZooError

CLASSES = card.read("pbc").classes


class Server(BaseHTTPRequestHandler):
    """Serves `files`, honours Range with If-Range, and can end a connection early."""

    files: ClassVar[dict[str, bytes]] = {}
    cut: ClassVar[int | None] = None
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        data = Server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        wanted = self.headers.get("Range")
        Server.ranges.append(wanted)
        start = int(wanted[6:-1]) if wanted and self.headers.get("If-Range") == tag else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(data[start:][: Server.cut])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Server.files, Server.cut, Server.ranges = {}, None, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "cards", lambda: tmp_path / "cards")
    return tmp_path / "data"


def write_card(tmp_path: Path, url: str = "", known: str = "", name: str = "pbc", file: str = "pbc.zip") -> None:
    """The shipped card with two images per class, and with the download given here."""
    shipped = Path(__file__).resolve().parents[1] / "datasets" / name / "card.toml"
    text = re.sub(r"\[\[downloads\]\]\n(.+\n)+", "", shipped.read_text())
    for kind, count in card._parsed(shipped).counts.items():
        text = text.replace(f"{kind} = {count}\n", f"{kind} = 2\n")
    if url:
        text += f'\n[[downloads]]\nurl = "{url}"\nfile = "{file}"\nhash = "{known}"\n'
    target = tmp_path / "cards" / name / "card.toml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    card._parsed.cache_clear()


def zipped(folder: Path, top: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                made.write(file, f"{top}{file.relative_to(folder).as_posix()}")
    return out.getvalue()


def nested(tmp_path: Path) -> bytes:
    """A zip in a zip, with Apple's leftovers, as older copies of PBC are."""
    inner = zipped(class_folders(tmp_path / "made", CLASSES, each=2), "PBC_dataset_normal_DIB/")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("PBC_dataset_normal_DIB.zip", inner)
        made.writestr("__MACOSX/._PBC_dataset_normal_DIB.zip", b"x")
    return out.getvalue()


def clean(data: Path) -> bool:
    """Nothing half-made is left under the data root."""
    return not any(path.name.startswith(".zoo-") for path in data.iterdir())


def test_download_zip_in_zip_lands_in_the_cards_layout(tmp_path: Path, data: Path, address: str):
    body = nested(tmp_path)
    Server.files["/pbc.zip"] = body
    write_card(tmp_path, f"{address}/pbc.zip", f"sha256:{hashlib.sha256(body).hexdigest()}")
    assert fetch.get("pbc") == f"pbc: in {data / 'pbc/PBC_dataset_normal_DIB'}"
    assert fetch.verify("pbc") == []
    assert len(load("pbc")) == 16
    assert fetch.get("pbc").startswith("pbc: already in")
    assert len(Server.ranges) == 1
    assert clean(data)


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, data: Path, address: str):
    body = nested(tmp_path)
    Server.files["/pbc.zip"], Server.cut = body, 1000
    write_card(tmp_path, f"{address}/pbc.zip", f"md5:{hashlib.md5(body).hexdigest()}")
    with pytest.raises(ZooError, match=f"ended at 1000 of {len(body)} bytes; run the command again"):
        fetch.get("pbc")
    assert not (data / "pbc").exists()
    Server.cut = None
    fetch.get("pbc")
    assert Server.ranges == [None, "bytes=1000-"]
    assert fetch.verify("pbc") == []


def test_a_file_that_changed_meanwhile_is_fetched_whole(tmp_path: Path, address: str):
    body = nested(tmp_path)
    Server.files["/pbc.zip"], Server.cut = b"y" * 3000, 1000
    write_card(tmp_path, f"{address}/pbc.zip")
    with pytest.raises(ZooError, match="ended at 1000"):
        fetch.get("pbc")
    Server.files["/pbc.zip"], Server.cut = body, None
    fetch.get("pbc")
    assert fetch.verify("pbc") == []


def test_wrong_hash_is_refused_and_nothing_lands(tmp_path: Path, data: Path, address: str):
    Server.files["/pbc.zip"] = nested(tmp_path)
    write_card(tmp_path, f"{address}/pbc.zip", "md5:" + "0" * 32)
    with pytest.raises(ZooError, match="does not have the hash md5:000"):
        fetch.get("pbc")
    assert not (data / "pbc").exists()
    assert not list(data.rglob("*.zip*"))


def test_damaged_zip_without_a_hash_is_fetched_afresh_next_time(tmp_path: Path, data: Path, address: str):
    Server.files["/pbc.zip"] = nested(tmp_path)[:5000]
    write_card(tmp_path, f"{address}/pbc.zip")
    with pytest.raises(ZooError, match="damaged or encrypted zip"):
        fetch.get("pbc")
    Server.files["/pbc.zip"] = nested(tmp_path)
    fetch.get("pbc")
    assert fetch.verify("pbc") == []
    assert clean(data)


def test_an_unreachable_or_missing_file_says_what_to_type(tmp_path: Path, address: str):
    write_card(tmp_path, f"{address}/none.zip")
    with pytest.raises(ZooError, match=r"404 .*10\.17632/snkd93bnjr\.1, then `zoo data get pbc --from"):
        fetch.get("pbc")
    write_card(tmp_path, "http://127.0.0.1:9/pbc.zip")
    with pytest.raises(ZooError, match=r"cannot be reached .*10\.17632/snkd93bnjr\.1"):
        fetch.get("pbc")
    write_card(tmp_path)
    with pytest.raises(ZooError, match=r"zoo cannot download it; .*10\.17632/snkd93bnjr\.1"):
        fetch.get("pbc")


@pytest.mark.parametrize("kind", ["folder", "inner folder", "zip"])
def test_from_what_the_user_has(tmp_path: Path, data: Path, kind: str):
    write_card(tmp_path)
    source = class_folders(tmp_path / "mine" / "PBC_dataset_normal_DIB", CLASSES, each=2)
    if kind == "folder":
        source = tmp_path / "mine"
    elif kind == "zip":
        (tmp_path / "my.zip").write_bytes(zipped(source))
        source = tmp_path / "my.zip"
    fetch.get("pbc", source)
    assert fetch.verify("pbc") == []
    assert source.exists()
    assert (data / "pbc" / "PBC_dataset_normal_DIB" / "ig" / "ig_0.jpg").is_file()


def test_from_says_what_is_wrong(tmp_path: Path, data: Path):
    write_card(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no zip")
    wrong = {"none": "no such file", "empty": "empty: no folders basophil", "text.zip": "damaged or encrypted zip"}
    for name, says in wrong.items():
        with pytest.raises(ZooError, match=says):
            fetch.get("pbc", tmp_path / name)
    assert (tmp_path / "text.zip").exists()
    assert clean(data)


def test_data_that_are_there_are_never_replaced(tmp_path: Path, data: Path):
    write_card(tmp_path)
    class_folders(data / "pbc" / "PBC_dataset_normal_DIB", CLASSES, each=1)
    with pytest.raises(ZooError, match="already there; move it away first"):
        fetch.get("pbc", class_folders(tmp_path / "mine", CLASSES, each=2))
    assert len(list((data / "pbc").rglob("*.jpg"))) == 8


def test_verify_counts_and_strange_folders(tmp_path: Path, data: Path):
    write_card(tmp_path)
    (tmp_path / "cards" / "pbc" / "pbc6000.txt").write_text("ig/ig_0.jpg\n")
    assert fetch.verify("pbc") == [f"no data in {data / 'pbc/PBC_dataset_normal_DIB'}"]
    root = class_folders(data / "pbc" / "PBC_dataset_normal_DIB", (*CLASSES, "blast"), each=2)
    (root / "ig" / "ig_1.jpg").unlink()
    assert fetch.verify("pbc") == ["blast: a folder that is no class", "ig: 1 files, 2 published"]
    shutil.rmtree(root)
    class_folders(root, ("ig",), each=1)
    assert fetch.verify("pbc") == []  # exactly a named subset


def test_npz_by_download_and_by_hand(tmp_path: Path, data: Path, address: str):
    made = npz(tmp_path / "bloodmnist_64.npz", side=64)
    Server.files["/b"] = made.read_bytes()
    known = f"md5:{hashlib.md5(made.read_bytes()).hexdigest()}"
    write_card(tmp_path, f"{address}/b", known, "bloodmnist", "bloodmnist_64.npz")
    fetch.get("bloodmnist")
    assert fetch.verify("bloodmnist") == []
    assert len(load("bloodmnist")) == 8
    stored = data / "bloodmnist" / "bloodmnist_64.npz"
    stored.write_bytes(b"damaged")
    assert "its hash is not" in fetch.verify("bloodmnist")[0]
    fetch.get("bloodmnist", tmp_path)
    assert fetch.verify("bloodmnist") == []
    made.write_bytes(b"damaged")
    with pytest.raises(ZooError, match="its hash is not"):
        fetch.get("bloodmnist", made)
    assert fetch.verify("bloodmnist") == []


def test_segmentation_wbc_comes_by_hand(tmp_path: Path):
    write_card(tmp_path, name="segmentation_wbc")
    with pytest.raises(ZooError, match=r"zxaoyou/segmentation_WBC, then `zoo data get segmentation_wbc --from"):
        fetch.get("segmentation_wbc")
    (tmp_path / "my.zip").write_bytes(zipped(wbc(tmp_path / "made"), "segmentation_WBC-master/"))
    said = fetch.get("segmentation_wbc", tmp_path / "my.zip")
    assert "(partial (5 of 10)); 5 problems" in said
    assert len(load("segmentation_wbc")) == 5


def test_smear_needs_nothing(tmp_path: Path):
    write_card(tmp_path, name="smear")
    assert "nothing to download" in fetch.get("smear")
    assert fetch.verify("smear") == []


def evil(tmp_path: Path, name: str, mode: int = 0, twice: bool = False) -> Path:
    file = tmp_path / "evil.zip"
    info = zipfile.ZipInfo("x")
    info.filename, info.external_attr = name, mode << 16
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(info, b"/etc/passwd")
        if twice:
            with pytest.warns(UserWarning, match="Duplicate"):
                made.writestr(info, b"again")
    return file


@pytest.mark.parametrize(("name", "mode"), [
    ("../out.txt", 0), ("a/../../out.txt", 0), ("/out.txt", 0), ("C:/out.txt", 0), ("..\\out.txt", 0),
    ("link", stat.S_IFLNK | 0o777), ("device", stat.S_IFCHR | 0o600), ("pipe", stat.S_IFIFO | 0o600),
])
def test_a_zip_cannot_write_outside_or_make_links(tmp_path: Path, name: str, mode: int):
    with pytest.raises(ZooError, match="refused"):
        archive.unpack(evil(tmp_path, name, mode), tmp_path / "deep" / "in")
    assert not [path for path in tmp_path.rglob("*") if path.name in ("out.txt", "link", "device", "pipe")]


def test_a_zip_with_a_name_twice_is_refused(tmp_path: Path):
    with pytest.raises(ZooError, match="twice"):
        archive.unpack(evil(tmp_path, "a", twice=True), tmp_path / "in")


def test_a_zip_that_unpacks_to_absurd_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zeros", b"\0" * 100_000)
    archive.unpack(tmp_path / "bomb.zip", tmp_path / "fine")
    monkeypatch.setattr(archive, "MOST_BYTES", 99_999)
    with pytest.raises(ZooError, match="refused"):
        archive.unpack(tmp_path / "bomb.zip", tmp_path / "in")
    assert not (tmp_path / "in").exists()


def test_zips_nested_without_end_are_refused(tmp_path: Path):
    body = b"x"
    for _ in range(5):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as made:
            made.writestr("inner.zip", body)
        body = out.getvalue()
    (tmp_path / "deep.zip").write_bytes(body)
    with pytest.raises(ZooError, match="nested more than"):
        archive.unpack(tmp_path / "deep.zip", tmp_path / "in")
