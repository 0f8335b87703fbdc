# pyright: basic
"""A policy over HTTP: it acts as in Python, refuses with a sentence, and is swapped live."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import ray
import small
from checkpoints import write_checkpoint
from command_line import call, command
from dashboard_app import served_app
from gymnasium import spaces
from ray import serve
from waiting import wait_until

from algos.policy import Policy
from cluster.serving import policy_server
from cluster.serving.sessions import Sessions
from cluster.web import auth
from rungwise.validation import InputError

TOKEN = "a-token-of-the-tests"
BOX = spaces.Box(-np.inf, np.inf, (4,), np.float32)
MIXED = spaces.Dict({"place": BOX, "kind": spaces.Discrete(3), "mask": spaces.Box(0, 1, (5,))})


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    place = tmp_path_factory.mktemp("policies")
    plain = write_checkpoint(place / "checkpoint_000001", BOX, spaces.Discrete(2))
    mixed = write_checkpoint(place / "mixed", MIXED, spaces.Discrete(5))
    nodes = spaces.Dict({"nodes": spaces.Box(-1, 1, (6, 3)), "mask": spaces.Box(0, 1, (6,))})
    any_size = write_checkpoint(place / "set", nodes, spaces.Discrete(6), model="set")
    return {"plain": plain, "mixed": mixed, "set": any_size}


class Holder:
    """Decides one by one, without Ray."""

    def __init__(self, checkpoint):
        self.policy, self.sessions = Policy.load(checkpoint), Sessions()

    async def act(self, observation, state):
        return policy_server.act_on_batches(self.policy, [observation], [state])[0]


@contextmanager
def served(checkpoint):
    app = policy_server.make_application(Holder(checkpoint), TOKEN)
    with served_app(app) as url:
        yield urlsplit(url).netloc


@pytest.fixture(scope="module")
def address(policies):
    with served(policies["mixed"]) as place:
        yield place


def ask(address, path, body=None, token=TOKEN) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(address)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET" if data is None else "POST", path, data, headers)
    response = connection.getresponse()
    text = response.read().decode()
    is_json = "json" in response.headers.get("content-type", "")
    return response.status, json.loads(text) if is_json else text


def some(space, count=20):
    space.seed(0)
    return [space.sample() for _ in range(count)]


def as_json(observation):
    if isinstance(observation, dict):
        return {name: np.asarray(part).tolist() for name, part in observation.items()}
    return observation.tolist()


@pytest.mark.parametrize("name", ["plain", "mixed", "set"])
def test_what_is_decided_together_is_what_each_would_get_alone(policies, name):
    policy = Policy.load(policies[name])
    observations = some(policy.observation_space)
    batches = [policy_server.validate_observation(policy, as_json(one)) for one in observations]
    states = [policy.initial_state() for _ in batches]
    answers = policy_server.act_on_batches(policy, batches, states)
    assert answers == [(policy.act(one), {}) for one in observations]
    assert len({action for action, _ in answers}) > 1


def test_each_request_gets_all_parts_of_its_own_action():
    box = spaces.Box(-1, 1, (2,))
    actions = spaces.Dict(a=spaces.Tuple((spaces.Discrete(9), spaces.Box(-1, 1, (2,)))))
    policy = Policy(small.module(box, actions, scale=1.0), {})
    observations = some(box, 3)
    batches = [policy_server.validate_observation(policy, as_json(one)) for one in observations]
    answers = policy_server.act_on_batches(policy, batches, [{}] * 3)
    for (answer, _), observation in zip(json.loads(json.dumps(answers)), observations, strict=True):
        choice, value = policy.act(observation)["a"]
        assert answer == {"a": [int(choice), pytest.approx(value.tolist(), abs=1e-6)]}


def test_observations_of_different_sizes_can_be_decided_together(policies):
    policy = Policy.load(policies["set"])
    random = np.random.default_rng(0)
    observations = [
        {"nodes": random.normal(size=(n, 3)).astype(np.float32), "mask": np.ones(n, np.float32)}
        for n in (6, 3, 6, 9)
    ]
    batches = [policy_server.validate_observation(policy, as_json(one)) for one in observations]
    answers = policy_server.act_on_batches(policy, batches, [{}] * 4)
    assert answers == [(policy.act(one), {}) for one in observations]


@pytest.mark.parametrize("memory", [{"frame_stack": 3}, {"memory": "lstm", "frame_stack": 2}])
def test_a_session_acts_as_the_policy_that_carries_its_state(tmp_path, memory):
    checkpoint = write_checkpoint(tmp_path / "c", BOX, spaces.Discrete(5), **memory)
    policy, observations = Policy.load(checkpoint), some(BOX, 8)
    expected, state = [], policy.initial_state()
    for one in observations:
        action, state = policy.act(one, state)
        expected.append(int(action))
    with served(checkpoint) as address:
        answers, session = [], {}
        for one in observations:
            # Another episode in between must not disturb this one.
            assert ask(address, "/act", {"observation": as_json(observations[0])})[0] == 200
            _, answer = ask(address, "/act", {"observation": as_json(one), **session})
            session = {"session": answer["session"]}
            answers.append(answer["action"])
        assert answers == expected
        first = {"observations": [as_json(observations[0])] * 2}
        _, together = ask(address, "/act", first)
        second = {"observations": [as_json(observations[1])] * 2, "sessions": together["sessions"]}
        _, after = ask(address, "/act", second)
        assert [together["actions"], after["actions"]] == [[a, a] for a in expected[:2]]
        assert after["sessions"] == together["sessions"]
        short = {"observations": [as_json(observations[0])] * 2, "sessions": ["x"]}
        assert "a list of 2 ids" in ask(address, "/act", short)[1]["error"]
        unknown = {"observation": as_json(observations[0]), "session": "x"}
        assert "There is no session 'x'" in ask(address, "/act", unknown)[1]["error"]


def test_a_session_takes_one_observation_at_a_time(tmp_path):
    """Two at once would both act on the same state, and one of the two would be forgotten."""
    checkpoint = write_checkpoint(tmp_path / "c", BOX, spaces.Discrete(5), frame_stack=3)
    policy, observations = Policy.load(checkpoint), some(BOX, 3)
    expected, state = [], policy.initial_state()
    for one in observations:
        action, state = policy.act(one, state)
        expected.append(int(action))
    bodies = [{"observation": as_json(one)} for one in observations]
    with served(checkpoint) as address:
        _, first = ask(address, "/act", bodies[0])
        session = {"session": first["session"]}
        twice = {"observations": [as_json(observations[1])] * 2, "sessions": [first["session"]] * 2}
        status, refused = ask(address, "/act", twice)
        assert status == 422 and "an earlier observation" in refused["error"]
        actions = [ask(address, "/act", body | session)[1]["action"] for body in bodies[1:]]
        assert [first["action"], *actions] == expected, "the refused request changed nothing"


def test_a_session_waits_for_its_answer_and_outlives_errors(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "c", BOX, spaces.Discrete(5), frame_stack=3)
    body = {"observation": as_json(some(BOX, 1)[0])}

    class Waiting(Holder):
        fails = True

        async def act(self, observation, state):
            if self.fails:
                raise OSError("lost")
            again = await policy_server._act(self, request)
            return again, state

    async def ask_twice(holder, request):
        with pytest.raises(OSError, match="lost"):
            await policy_server._act(holder, request)
        holder.fails = False
        with pytest.raises(InputError, match="waits for the action of an earlier observation"):
            await policy_server._act(holder, request)

    first = asyncio.run(policy_server._act(holder := Holder(checkpoint), json.dumps(body).encode()))
    request = json.dumps(body | {"session": first["session"]}).encode()
    waiting = Waiting(checkpoint)
    waiting.sessions = holder.sessions
    asyncio.run(ask_twice(waiting, request))
    assert asyncio.run(policy_server._act(holder, request))["session"] == first["session"]


def test_a_mask_by_the_name_of_pettingzoo_is_read(policies):
    policy = Policy.load(policies["mixed"])
    one = {**GOOD, "action_mask": [0, 0, 1, 0, 0]}
    del one["mask"]
    batch = policy_server.validate_observation(policy, one)
    assert policy_server.act_on_batches(policy, [batch], [{}]) == [(2, {})]


def test_the_schema_says_what_is_accepted(address):
    status, said = ask(address, "/schema")
    assert status == 200 and said["action"] == {"type": "integer", "minimum": 0, "maximum": 4}
    place, kind = (said["observation"]["properties"][name] for name in ("place", "kind"))
    assert place == {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    assert kind == {"type": "integer", "minimum": 0, "maximum": 2}
    assert ask(address, "/") == (200, said), "what the command says to open"


def test_it_acts_as_the_policy_does(address, policies):
    policy = Policy.load(policies["mixed"])
    observations = some(MIXED)
    expected = [int(policy.act(one)) for one in observations]
    told = [ask(address, "/act", {"observation": as_json(one)})[1] for one in observations]
    assert [one["action"] for one in told] == expected
    _, many = ask(address, "/act", {"observations": [as_json(one) for one in observations]})
    assert many["actions"] == expected


GOOD = {"place": [0, 0, 0, 0], "kind": 1, "mask": [1, 1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"observation": GOOD | {"place": [0, 0, 0]}}, "shape (3,)"),
        ({"observation": GOOD | {"place": [[0], [0, 1]]}}, "inhomogeneous"),
        ({"observation": GOOD | {"place": ["a", "b", "c", "d"]}}, "type <U1"),
        pytest.param(
            {"observation": GOOD | {"place": [1e300, 0, 0, 0]}},
            "not finite",
            marks=pytest.mark.filterwarnings("ignore:overflow"),
        ),
        ({"observation": GOOD | {"place": [10**400, 0, 0, 0]}}, "type object"),
        ({"observation": GOOD | {"kind": 3}}, "kind must be in"),
        ({"observation": GOOD | {"kind": 10**30}}, "acts on"),
        ({"observation": {"place": [0, 0, 0, 0]}}, "part is missing"),
        ({"observation": GOOD | {"mask": [0, 0, 0, 0, 0]}}, "No action is legal"),
        ({"observation": [1, 2]}, "part is missing"),
        ({"observation": None}, "part is missing"),
        ({"observations": GOOD}, "must be a list"),
        ({"observations": [GOOD, {}]}, "part is missing"),
        ({"observation": GOOD, "observations": []}, "The body must be"),
        ([GOOD], "The body must be"),
        (b"{", "not JSON"),
        (b'{"observation": NaN}', "NaN is not a number"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_wrong_observation_gets_422_with_a_sentence(address, body, said):
    status, answer = ask(address, "/act", body)
    assert status == 422 and said in answer["error"]


def test_other_wrong_calls_get_a_sentence_too(address):
    assert ask(address, "/act")[0] == 405
    assert ask(address, "/nothing")[0] == 404
    status, answer = ask(address, "/act", b"x" * (auth.MAX_REQUEST_BYTES + 1))
    assert status == 413 and "bytes" in answer["error"]


def test_probe_needs_no_token(address):
    assert ask(address, "/healthz", token="")[0] == 200


@pytest.mark.parametrize("path", ["/act", "/schema", "/metrics", "/nothing"])
def test_without_the_token_every_address_is_refused(address, path):
    assert ask(address, path, token="wrong")[0] == 401
    assert ask(address, path, body={"observation": GOOD}, token="")[0] == 401


def test_the_metrics_count_what_was_answered(policies):
    with served(policies["plain"]) as place:
        ask(place, "/act", {"observation": [0, 0, 0, 0]})
        ask(place, "/act", {"observation": [0]})
        _, text = ask(place, "/metrics")
    assert 'rungwise_requests_total{status="200"} 1.0' in text
    assert 'rungwise_requests_total{status="422"} 1.0' in text
    assert "rungwise_policy_iteration 1.0" in text


def test_what_cannot_be_served_is_refused_before_ray_starts(tmp_path):
    done = call("serve", "nothing", cwd=tmp_path)
    assert done.returncode == 2 and "nothing does not exist" in done.stderr


@pytest.mark.system
def test_ray_serve_swaps_checkpoints_without_a_failed_request(tmp_path):
    trial = tmp_path / "trial"
    trial.mkdir()
    first = write_checkpoint(trial / "checkpoint_000001", BOX, spaces.Discrete(2), seed=1)
    words = command("serve", first, "--follow", "--port", 0, "--json")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        place = urlsplit(said["url"]).netloc
        assert ask(place, "/schema", token="wrong")[0] == 401
        seen, done = Counter(), threading.Event()

        def hammer():
            while not done.is_set():
                status, answer = ask(
                    place, "/act", {"observation": [0.1, 0.2, 0, 0]}, said["token"]
                )
                seen[status, answer.get("iteration")] += 1

        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        write_checkpoint(trial / "checkpoint_000002", BOX, spaces.Discrete(2), seed=2, iteration=2)
        wait_until(lambda: seen[200, 2])
        done.set()
        for thread in threads:
            thread.join()
        print(f"\nanswers by status and iteration during the swap: {dict(seen)}")
        assert set(seen) == {(200, 1), (200, 2)}, (tmp_path / "log").read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert "raylet" not in (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
        log.close()


@pytest.mark.system
def test_a_ray_that_was_joined_serves_one_policy_until_ctrl_c(local_ray, policies, tmp_path):
    ray_address = ray.get_runtime_context().gcs_address
    words = command("serve", policies["plain"], "--address", ray_address, "--port", 0, "--json")
    ray_token = str(Path.home() / ".ray" / "auth_token")
    environment = os.environ | {"HOME": str(tmp_path), "RAY_AUTH_TOKEN_PATH": ray_token}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        place = urlsplit(said["url"]).netloc
        second = subprocess.run(words, capture_output=True, text=True, env=environment)
        assert second.returncode == 2 and "applications: policy" in second.stderr, second.stderr
        assert ask(place, "/healthz", token=said["token"])[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert not serve.status().applications
        with pytest.raises(ConnectionRefusedError):
            ask(place, "/healthz")
    finally:
        process.kill()
        process.wait()


def test_the_newest_checkpoint_is_that_of_the_same_trial(tmp_path):
    for trial, number in (("00", 1), ("00", 3), ("01", 9)):
        (tmp_path / trial).mkdir(exist_ok=True)
        write_checkpoint(tmp_path / trial / f"checkpoint_{number:06d}", BOX, spaces.Discrete(2))
    (tmp_path / "00" / "checkpoint_000004").mkdir()  # not complete: no manifest
    first = tmp_path / "00" / "checkpoint_000001"
    assert policy_server.find_newest_checkpoint(first).name == "checkpoint_000003"
    with pytest.raises(InputError):
        Policy.load(tmp_path / "00" / "checkpoint_000004")


def test_the_newest_checkpoint_may_be_of_a_later_session(tmp_path):
    written = {}
    for session, trial, number in ((0, "03", 7), (9, "03", 4), (10, "03", 2), (10, "04", 9)):
        checkpoint = tmp_path / "trials" / f"session-{session}" / trial / f"checkpoint_{number:06d}"
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        written[session, trial] = write_checkpoint(checkpoint, BOX, spaces.Discrete(2))
    newest = policy_server.find_newest_checkpoint(written[0, "03"])
    assert newest == written[10, "03"]
    (newest / "manifest.json").unlink()  # not complete yet
    assert policy_server.find_newest_checkpoint(newest) == written[9, "03"]
