"""Tasks over worker processes: the same results in the same order, and never more threads than were given."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo import registry
from zoo.errors import ZooError
from zoo.pipeline import workers
from zoo.pipeline.adapt import evaluate_adapting
from zoo.pipeline.device import AtPrecision, choose
from zoo.record import Bank, BankSpec, Episode
from zoo.types import Adapting


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WORTH_STARTING", 0.0)


def tasks(count: int) -> Iterator[Callable[[], Any]]:
    def where(number: int) -> tuple[int, int, int, str | None]:
        return number, os.getpid(), torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")

    return (partial(where, number) for number in range(count))


def test_as_many_processes_as_threads_with_one_thread_each(worth_it: None) -> None:
    found = list(workers.results(tasks(7), 7))
    assert [number for number, *_ in found] == list(range(7))
    here, away = [pid == os.getpid() for _, pid, *_ in found], {pid for _, pid, *_ in found[1:]}
    assert here == [True] + 6 * [False]
    assert len(away) == 2
    assert {threads for _, _, threads, _ in found} == {1}
    assert {given for *_, given in found[1:]} == {"1"}  # read before torch was
    assert torch.get_num_threads() == 2


def test_short_work_stays_here() -> None:
    assert {pid for _, pid, *_ in workers.results(tasks(7), 7)} == {os.getpid()}


def test_one_thread_stays_here(worth_it: None) -> None:
    torch.set_num_threads(1)
    assert {pid for _, pid, *_ in workers.results(tasks(7), 7)} == {os.getpid()}


def test_no_more_processes_than_memory_is_there_for(worth_it: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "peak_memory_mb", lambda: 1e9)
    assert {pid for _, pid, *_ in workers.results(tasks(7), 7)} == {os.getpid()}


def test_threads_are_given_back_to_who_looks_at_a_few_results() -> None:
    found = workers.results(tasks(7), 7)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == 2


def test_what_a_task_says_is_said(worth_it: None) -> None:
    def refuse() -> None:
        raise ZooError("these supports are too few")

    with pytest.raises(ZooError, match="these supports are too few"):
        list(workers.results(iter([lambda: None, refuse, refuse]), 3))
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows kills in another way")
def test_a_killed_process_is_one_line(worth_it: None) -> None:
    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ZooError, match=r"one of 2 worker processes was killed.*OMP_NUM_THREADS"):
        list(workers.results(iter([lambda: None, killed, killed]), 3))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows kills in another way")
def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = f"""
import os, time, torch
from pathlib import Path
from zoo.pipeline import workers
def task(parent=os.getpid()):
    Path({str(tmp_path)!r}, str(os.getpid())).touch()
    time.sleep(0 if os.getpid() == parent else 300)
torch.set_num_threads(2)
workers.WORTH_STARTING = 0.0
list(workers.results(iter(5 * [task]), 5))
"""
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        until(lambda: len(list(tmp_path.iterdir())) == 3)
        parent.kill()
    others = {int(file.name) for file in tmp_path.iterdir()} - {parent.pid}
    until(lambda: not any(alive(pid) for pid in others))


def until(reached: Callable[[], bool]) -> None:
    for _ in range(600):
        if reached():
            return
        time.sleep(0.1)
    pytest.fail("not within a minute")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("name", ["finetune", "pmf"])
def test_episodes_come_out_the_same_in_processes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"finetune": {"part": "full"}, "pmf": {"epochs": "0"}}[name]
    method, device = registry.method(name, settings | {"tune_steps": "2"}), choose("cpu", "fp32")
    assert isinstance(method, Adapting)
    backbone = AtPrecision(registry.backbone("conv4", None).requires_grad_(False), device)
    shown = torch.rand(30, 3, 32, 32, generator=torch.Generator().manual_seed(0)).numpy()
    episodes = tuple(
        Episode(np.arange(2), np.arange(4) + k, np.array([0, 0, 1, 1]), np.arange(10, 30), np.zeros(20, int))
        for k in range(4)
    )
    bank = Bank(BankSpec(kind="standard", way=2, shot=2, query=10, episodes=4), episodes)
    given = (method, backbone, None, bank, partial(lambda images, numbers: torch.from_numpy(images[numbers]), shown), 0)
    here = evaluate_adapting(*given, key=None)
    monkeypatch.setattr(workers, "WORTH_STARTING", 0.0)
    away = evaluate_adapting(*given, key=("some key", name))
    monkeypatch.setattr("zoo.pipeline.adapt.adapt", lambda *_: pytest.fail("adapted again"))
    kept = evaluate_adapting(*given, key=("some key", name))
    for one, other, again in zip(here, away, kept, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, again)
