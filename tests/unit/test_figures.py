"""README and docs/ state the numbers that the code and the example have."""

import pytest

from tests.bench.figures import ROOT, Figure, figures


@pytest.mark.parametrize("figure", figures(), ids=lambda figure: figure.statement)
def test_a_document_states_it(figure: Figure) -> None:
    assert figure.statement in " ".join((ROOT / figure.document).read_text().split())
