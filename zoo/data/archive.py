"""Zip files, and zips inside zips, unpacked so that nothing can land outside the folder asked for."""

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from zoo.errors import ZooError

MOST_BYTES = 30 * 2**30
"""More than this, unpacked, is taken for an attack; the largest dataset here is below 5 GiB."""
MOST_FILES = 500_000
MOST_DEPTH = 3
_CHUNK = 1 << 20


def unpack(archive: Path, folder: Path, depth: int = 1) -> None:
    """Unpack into `folder`, inner zips too (in place of themselves).

    ZooError for a damaged or encrypted archive, an absolute path, '..', a link, a device, or absurd sizes.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [info for info in opened.infolist() if "__MACOSX" not in PurePosixPath(info.filename).parts]
            if len(members) > MOST_FILES or sum(info.file_size for info in members) > MOST_BYTES:
                raise _refused(archive, f"{len(members)} files, more than {MOST_BYTES} bytes or {MOST_FILES} files")
            for info in members:
                _member(opened, info, archive, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ZooError(f"{archive}: damaged or encrypted zip ({error}); delete it and get it again") from None
    for inner in sorted(folder.rglob("*.zip")):
        if depth >= MOST_DEPTH:
            raise _refused(archive, f"zips nested more than {MOST_DEPTH} deep")
        inside = inner.with_name(f"{inner.name}.unpacked")
        unpack(inner, inside, depth + 1)
        inner.unlink()


def _member(opened: zipfile.ZipFile, info: zipfile.ZipInfo, archive: Path, folder: Path) -> None:
    name = info.filename
    path = PurePosixPath(name)
    if path.is_absolute() or PureWindowsPath(name).drive or "\\" in name or ".." in path.parts or "\0" in name:
        raise _refused(archive, f"'{name}' would land outside the folder")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(archive, f"'{name}' is a link or a device")
    target = folder / path
    if info.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise _refused(archive, f"'{name}' is in it twice")
    with opened.open(info) as source, target.open("xb") as out:  # stops at the size the header states, checks the CRC
        shutil.copyfileobj(source, out, _CHUNK)


def _refused(archive: Path, why: str) -> ZooError:
    return ZooError(f"{archive}: refused, {why}; get the archive from its original source")
