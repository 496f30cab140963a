import pytest

from frontend import api_errors
from tests.frontend.fakes import Catalogue, classification, screen


@pytest.mark.parametrize("name", ["history", "model", "result"])
def test_a_page_can_be_tried_again(catalogue: Catalogue, name: str) -> None:
    catalogue.down = True
    page = screen(name, id=classification()["id"]).run()
    assert [error.value for error in page.error] == [api_errors.BUSY]
    page.button(key=f"{name}-again").click().run()
    assert [toast.value for toast in page.toast] == ["Tried again without success."], "every click has an effect"
    catalogue.down = False
    page.button(key=f"{name}-again").click().run()
    assert not page.exception
    assert not page.toast
    assert not page.error
