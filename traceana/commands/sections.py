"""A command whose options are many: `--help` shows them under headings."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

# Where the terminal is as wide, so that most options take one line.
WIDTH = 100


class SectionedCommand(click.Command):
    """`sections` are the options' names, such as "label", under each heading; what none names is under the last."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **{"context_settings": {"max_content_width": WIDTH}} | kwargs)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each option once."""
        headings = {name: heading for heading, names in self.sections.items() for name in names}
        last = list(self.sections)[-1]
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        for heading in self.sections:
            lines = [_line(option) for option in options if headings.get(str(option.name), last) == heading]
            with formatter.section(heading):
                formatter.write_dl(lines)


def _line(option: click.Option) -> tuple[str, str]:
    value = "" if option.is_flag else f" {option.metavar}"
    default = f"  [default: {option.default}]" if option.show_default else ""
    return ", ".join(option.opts) + value, f"{option.help}{default}"
