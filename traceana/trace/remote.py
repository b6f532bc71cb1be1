"""Files in object stores, by their URLs: `s3://…` and `gs://…`, through fsspec and what it takes for each.

A RemotePath is a path like any other to whoever looks for traces, or reads or writes one; what it opens is read a block
at a time.
Credentials come from where s3fs and gcsfs look for them, never from a URL, and no message shows one.
"""

import fnmatch
import io
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from traceana_capture.masks import masked_text

from traceana.errors import TraceanaError
from traceana.plain import plain

_NEEDS = {"s3": "traceana[s3]", "gs": "traceana[gs]", "memory": "fsspec"}
_URL = re.compile(rf"(?P<scheme>{'|'.join(_NEEDS)})://(?P<rest>[^/].*)")
_ANY_URL = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://.*", re.DOTALL)
_BLOCK = 8 << 20
# What stores sign, and what is long enough to be a key of theirs.
_SIGNED = re.compile(r"((?:X-Amz-|X-Goog-|AWS)\w*(?:Signature|Credential|Token|KeyId)\w*[=:]\s*)[^\s&]+", re.IGNORECASE)
_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|\bya29\.[\w.-]+|\bBearer\s+\S+")


def located(text: str | Path) -> Path:
    """A path, in an object store where it is written as a URL of one.

    Raises TraceanaError for a URL with credentials in it, and where the package for its store is not installed.
    """
    found = _URL.fullmatch(str(text))
    if found is None:
        refuse_url(text, "is no URL that traces are read from; give s3://BUCKET/RUN, gs://BUCKET/RUN or a path")
        return Path(text)
    bucket = found["rest"].partition("/")[0]
    # A key may have slashes in it, so that the @ behind it is not the bucket's; names of access points have colons.
    if "@" in bucket or "?" in found["rest"] or (":" in bucket and not bucket.startswith("arn:")):
        raise TraceanaError(
            f"{found['scheme']}://…: no credentials belong in a URL; put them where the store's own tools look for "
            "them, such as AWS_PROFILE or GOOGLE_APPLICATION_CREDENTIALS"
        )
    _store(found["scheme"])
    return path_of(text)


def path_of(text: str | Path) -> Path:
    """The same of a path that a report or a part has: its store may be one that nothing here can read."""
    found = _URL.fullmatch(str(text))
    return Path(text) if found is None else RemotePath(f"{found['scheme']}:", *filter(None, found["rest"].split("/")))


def refuse_url(text: str | Path, why: str) -> None:
    """Raises TraceanaError where the text is a URL, of which the message shows no more than the scheme."""
    url = _ANY_URL.fullmatch(str(text))
    if url is not None:
        raise TraceanaError(f"{url['scheme']}://… {why}")


def _store(scheme: str) -> Any:
    """fsspec's file system. Raises TraceanaError where what it takes is not installed."""
    try:
        import fsspec

        return fsspec.filesystem(scheme)
    except ImportError as error:
        raise TraceanaError(f"{scheme}:// needs a package; pip install '{_NEEDS[scheme]}'") from error
    except Exception as error:
        raise TraceanaError(f"{scheme}://: {_said(error)}") from None


class RemotePath(type(Path())):  # type: ignore[misc]  # what a path is depends on the system
    """An object or what lies below a prefix; its first part is the scheme.

    Opening raises OSError as a disk does, and looking for what is there TraceanaError where the store does not answer.
    """

    def __str__(self) -> str:
        # What is relative to another has no scheme.
        scheme, *below = self.parts or (".",)
        return "/".join([f"{scheme}/", *below] if scheme.endswith(":") else [scheme, *below])

    __fspath__ = __str__
    as_posix = __str__

    def __reduce__(self) -> tuple[type["RemotePath"], tuple[str, ...]]:
        return RemotePath, self.parts

    def resolve(self, strict: bool = False) -> "RemotePath":
        """Itself: nothing in a store leads elsewhere."""
        return self

    def is_file(self, **_: object) -> bool:
        """Whether there is such an object."""
        return bool(self._looked("isfile"))

    def is_dir(self, **_: object) -> bool:
        """Whether objects lie below it."""
        return bool(self._looked("isdir"))

    def exists(self, **_: object) -> bool:
        """Whether there is anything."""
        return bool(self._looked("exists"))

    def stat(self, **_: object) -> os.stat_result:
        """The size; of everything else nothing is known."""
        size = self._asked("size") or 0
        return os.stat_result((0o100444, 0, 0, 1, 0, 0, size, 0, 0, 0))

    def iterdir(self) -> Iterator["RemotePath"]:
        """What is right below it."""
        names = (str(name).rstrip("/").rpartition("/")[2] for name in self._looked("ls", detail=False) or ())
        return (self / name for name in sorted(filter(None, names)))

    def glob(self, pattern: str, **_: object) -> Iterator["RemotePath"]:  # type: ignore[override,unused-ignore]
        """The objects right below it whose names fit."""
        return (path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern))

    def walk_below(self) -> Iterator[tuple["RemotePath", list[str]]]:
        """Each folder with the names of its objects, in order; without what begins with a dot."""
        folders: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for found in self._looked("find") or ():
            below = str(found).lstrip("/").split("/")[len(self.parts) - 1 :]
            if below and not any(name.startswith(".") for name in below[:-1]):
                folders[tuple(below[:-1])].append(below[-1])
        return ((self.joinpath(*below), sorted(names)) for below, names in sorted(folders.items()))

    def open_object(self) -> BinaryIO:
        """For reading, a block at a time. Raises OSError."""
        file = self._asked("open", mode="rb", block_size=_BLOCK, cache_type="readahead")
        return io.BufferedReader(_Guarded(file), 1 << 20)

    def open(self, mode: str = "r", *_: object, **__: object) -> Any:
        """For writing bytes, of which nothing is there before it is closed, or as `open_object`. Raises OSError."""
        if "r" in mode:
            return self.open_object()
        return io.BufferedWriter(_Guarded(self._asked("open", mode="wb", block_size=_BLOCK), writes=True), 1 << 20)

    def write_bytes(self, data: Any) -> int:
        """Put all of the object there at once. Raises OSError."""
        self._asked("pipe_file", bytes(data))
        return len(data)

    def mkdir(self, *_: object, **__: object) -> None:
        """Nothing: folders of a store are there with what lies in them."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object. Raises OSError."""
        if not missing_ok or self.is_file():
            self._asked("rm_file")

    def _looked(self, question: str, **options: Any) -> Any:
        try:
            return self._asked(question, **options)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TraceanaError(f"{self}: cannot be looked at ({error.strerror})") from error

    def _asked(self, question: str, *values: Any, **options: Any) -> Any:
        store = _store(self.parts[0].removesuffix(":"))
        return _guarded(partial(getattr(store, question), "/".join(self.parts[1:]), *values, **options))


class _Guarded(io.RawIOBase):
    """A store's file, of which all errors are OSErrors without a secret in them."""

    def __init__(self, file: Any, *, writes: bool = False) -> None:
        self._file = file
        self._writes = writes

    def readable(self) -> bool:
        return not self._writes

    def writable(self) -> bool:
        return self._writes

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(_guarded(partial(self._file.seek, offset, whence)))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        data = _guarded(partial(self._file.read, len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        return int(_guarded(partial(self._file.write, bytes(data))))

    def close(self) -> None:
        if not self.closed:
            super().close()
            _guarded(self._file.close)


def _guarded(ask: Callable[[], Any]) -> Any:
    """What a store answers. Raises OSError where it does not: their packages have errors of many kinds."""
    try:
        return ask()
    except FileNotFoundError as error:
        raise FileNotFoundError(2, "no such object") from error
    except Exception as error:
        raise OSError(5, _said(error)) from None


def _said(error: Exception) -> str:
    """The error's words in one line, without what may be a secret."""
    words = plain(f"{type(error).__name__}: {error}")
    return _KEY.sub("***", _SIGNED.sub(r"\1***", masked_text(words)))
