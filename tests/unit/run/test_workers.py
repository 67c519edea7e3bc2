from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from migrator.run.workers import map_together, map_unordered


def test_each_task_is_run_once_however_few_are_under_way() -> None:
    with ThreadPoolExecutor(2) as executor:
        assert sorted(map_unordered(executor, abs, ((-n,) for n in range(9)), 3)) == list(range(9))


def test_a_task_that_follows_from_a_result_is_run_until_none_follows() -> None:
    def follow(result: int) -> tuple[int] | None:
        return (result - 1,) if result % 10 else None

    with ThreadPoolExecutor(2) as executor:
        found = [n for results in map_together(executor, abs, [(3,), (12,)], 2, follow) for n in results]
    assert sorted(found) == [0, 1, 2, 3, 10, 11, 12]


def test_what_follows_is_asked_when_the_result_has_been_dealt_with() -> None:
    dealt_with: list[int] = []

    def follow(result: int) -> tuple[int] | None:
        assert result in dealt_with
        return (result - 1,) if result else None

    with ThreadPoolExecutor(1) as executor:
        for results in map_together(executor, abs, [(2,)], 1, follow):
            dealt_with.extend(results)
    assert dealt_with == [2, 1, 0]


def test_tasks_are_drawn_only_when_there_is_room() -> None:
    drawn, came = [], []

    def tasks() -> object:
        for n in range(6):
            drawn.append(n)
            assert len(drawn) - len(came) <= 2
            yield (n,)

    with ThreadPoolExecutor(1) as executor:
        for results in map_together(executor, abs, tasks(), 2, lambda _: None):
            came.extend(results)
    assert sorted(came) == list(range(6))
