"""Shows that something was kept by this very user: what lies beside traces may have come with them, from strangers.

A page is shown as it is, so a forged one could do what it likes. The key is the user's, in XDG_STATE_HOME or
~/.local/state (XDG Base Directory Specification 0.8), and nobody else can read it.
"""

import contextlib
import hmac
import os
import stat
from pathlib import Path

LENGTH = 32
_DIGEST = "sha256"


def signed(content: bytes) -> bytes:
    """The content behind its signature. Raises OSError where this user can keep no key."""
    return _signature(content) + content


def verified(content: bytes) -> memoryview:
    """What `signed` was given, where it lies. Raises ValueError for what this user did not sign, and OSError."""
    inside = memoryview(content)[LENGTH:]
    if not hmac.compare_digest(_signature(inside), content[:LENGTH]):
        raise ValueError("not kept by this user")
    return inside


def _signature(content: bytes | memoryview) -> bytes:
    return hmac.digest(_key(), content, _DIGEST)


def _key() -> bytes:
    file = _state() / "traceana" / "key"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        _create(file)
    found = file.stat()
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) and os.name == "posix":
        raise PermissionError(f"{file}: others can read it")
    key = file.read_bytes()
    if len(key) != LENGTH:
        raise OSError(f"{file}: holds no key")
    return key


def _state() -> Path:
    named = os.environ.get("XDG_STATE_HOME")
    try:
        return Path(named) if named else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OSError("this user has no home") from error


def _create(file: Path) -> None:
    """Whole from the first moment that it can be seen, and never in another's place."""
    partial = file.with_name(f"{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, os.urandom(LENGTH))
    finally:
        os.close(descriptor)
    with contextlib.suppress(FileExistsError):
        os.link(partial, file)
    partial.unlink()
