"""That a test of a fault fails on stock Hermes for the fault, and not for how it is driven here."""

from faults import STOCK, Agent
from trees import put


def test_what_stock_hermes_can_do_it_does_when_it_is_driven_from_here(installation, workspace):
    hermes = Agent(installation, STOCK)
    try:
        put(workspace, "a", "1")
        put(workspace, "b", "1")
        assert hermes.take(workspace)
        put(workspace, "a", "2")
        put(workspace, "b", "2")
        assert hermes.take(workspace)
        answer = hermes.restore(workspace, hermes.ids(workspace)[-1], "a")
    finally:
        hermes.end()
    assert answer["success"], answer
    assert ((workspace / "a").read_text(), (workspace / "b").read_text()) == ("1", "2")
