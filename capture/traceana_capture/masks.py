"""What looks like a secret in a command or a setting, as it may be written down: with stars in its place."""

import re
from collections.abc import Iterable, Mapping

STARS = "***"
_ENDING = r"(?:key|token|password|passwd|passphrase|secret|credentials?)"
_NAME = rf"[\w.-]*{_ENDING}"
_OPTION = re.compile(rf"--?{_NAME}", re.IGNORECASE)
_ASSIGNMENT = re.compile(rf"((?:--?)?{_NAME}=).+", re.IGNORECASE | re.DOTALL)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_VALUE = r"""(?:\\*"[^"]*"|\\*'[^']*'|[^\s"',;&}]+)"""
# Commands inside words, as after `bash -c`, objects of JSON, queries of URLs. Only what a name ends with is searched in
# the middle of a text: whole names would be tried from each of their letters on, which takes quadratic time.
_INSIDE = re.compile(rf"""({_ENDING}\\*["']?\s*[=:]\s*|(?<!\S)--?{_NAME}(?:\s|\\\n)+(?!-)){_VALUE}""", re.IGNORECASE)
_TOKEN = re.compile(r"(?<![A-Za-z0-9])(hf_|sk-|gh[opsu]_|github_pat_|glpat-|xox[a-z]-)[\w-]{8,}")
_HEADER = re.compile(r"(\bBearer\s+|\bAuthorization\s*:\s*\w+\s+)[\w.~+/=-]+", re.IGNORECASE)
_URL = re.compile(r"(://[^\s/:@]*:)[^\s/]+@|(://)[^\s/:@]{16,}@")


def masked_text(text: str) -> str:
    """The text without tokens, secrets of URLs, and values of names that end in key, token, password or the like."""
    whole = _ASSIGNMENT.fullmatch(text)
    if whole:
        return whole[1] + STARS
    text = _INSIDE.sub(rf"\1{STARS}", _URL.sub(rf"\1\2{STARS}@", text))
    return _HEADER.sub(rf"\1{STARS}", _TOKEN.sub(rf"\1{STARS}", text))


def masked_words(argv: Iterable[str]) -> tuple[str, ...]:
    """A command's words; the word behind an option of a secret's name is its value, unless it is an option too."""
    words: list[str] = []
    is_value = False
    for word in argv:
        words.append(STARS if is_value and not word.startswith("-") else masked_text(word))
        is_value = _OPTION.fullmatch(word) is not None
    return tuple(words)


def masked_values(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings by name, such as variables of an environment."""
    return {
        name: STARS if _SECRET_NAME.fullmatch(name) and value else masked_text(value)
        for name, value in settings.items()
    }
