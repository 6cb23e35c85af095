"""What an agent does for one request of its user belongs together, and nothing else does."""

import gc
import threading

import pytest

from hermes_checkpoints.hermes import plugin, requests
from hermes_stand_in import Agent, Hermes


@pytest.fixture
def there(stock):
    there = Hermes()
    plugin.register(there)
    yield there
    requests.end_request()


def test_what_is_done_for_one_request_has_one_name_and_nothing_afterwards_has(there):
    there.invoke("pre_llm_call", session_id="a", turn_id="a:1", user_message="do it", conversation_history=[])
    assert [requests.current_request(), requests.current_request()] == ["a:1", "a:1"]
    there.invoke("on_session_end", session_id="a", turn_id="a:1", interrupted=True)
    assert requests.current_request() is None


def test_requests_of_a_hermes_that_names_none_are_told_apart(there):
    names = set()
    for _ in range(2):
        there.invoke("pre_llm_call", session_id="a")
        names.add(requests.current_request())
    assert len(names - {None}) == 2


def test_no_hook_puts_anything_into_the_prompt(there):
    answers = [there.invoke(hook, session_id="a", child_session_id="b", parent_turn_id="c") for hook in there.hooks]
    assert answers == [[None]] * 4


def test_a_manager_hears_of_the_end_of_its_own_request_only_and_once(there):
    mine, other = Agent(), Agent()

    def elsewhere():
        there.invoke("pre_llm_call", session_id="b")
        requests.join(other)

    there.invoke("pre_llm_call", session_id="a")
    requests.join(mine)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    there.invoke("on_session_end", session_id="a")
    there.invoke("on_session_end", session_id="a")
    assert mine.ended == [threading.current_thread()]
    assert other.ended == []


def test_a_request_that_broke_off_is_not_taken_for_one_that_ended(there):
    agent = Agent()
    there.invoke("pre_llm_call", session_id="a")
    requests.join(agent)
    there.invoke("pre_llm_call", session_id="a")
    assert (agent.broken, agent.ended) == ([threading.current_thread()], [])


def test_an_agent_is_not_kept_alive_by_its_request(there):
    there.invoke("pre_llm_call", session_id="a")
    agents = [Agent()]
    requests.join(agents[0])
    assert agents[0] in requests.managers()
    before = len(requests.managers())
    agents.clear()
    gc.collect()
    assert len(requests.managers()) == before - 1


def test_what_subagents_of_subagents_do_belongs_to_the_request_of_the_person(there):
    names = []

    def child(session, turn, then=lambda: None):
        def work():
            there.invoke("pre_llm_call", session_id=session, turn_id=turn)
            names.append(requests.current_request())
            then()
            there.invoke("on_session_end", session_id=session)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    def delegate():
        there.invoke("subagent_start", parent_session_id="b", parent_turn_id="b:1", child_session_id="c")
        child("c", "c:1")

    there.invoke("pre_llm_call", session_id="a", turn_id="a:1")
    there.invoke("subagent_start", parent_session_id="a", parent_turn_id="a:1", child_session_id="b")
    child("b", "b:1", delegate)
    there.invoke("subagent_stop", parent_session_id="a", child_session_id="b")
    assert requests.current_request() == "a:1"
    child("b", "b:2")  # a session of its own by now
    assert names == ["a:1", "a:1", "b:2"]
