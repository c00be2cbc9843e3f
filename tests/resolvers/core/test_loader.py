"""The batch loader: what it batches and caches, and that no waiter can harm another."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import uvloop
from graphql import build_schema, execute, parse

from resolvers.core.context import OperationStats
from resolvers.core.loader import BatchCanceled, BatchLoader

AsyncTest = Callable[[], Awaitable[None]]


def each_loop(test: AsyncTest) -> Callable[[Callable[[], asyncio.AbstractEventLoop]], None]:
    """Run an async test on asyncio's event loop and on uvloop's."""

    async def within_time() -> None:
        async with asyncio.timeout(10):
            await test()

    @pytest.mark.parametrize(
        "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
    )
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(within_time())

    run.__doc__ = test.__doc__
    return run


class Names:
    """A batch function over numbers that remembers what it was asked for.

    While ``gate`` is unset its batches wait; ``fails`` holds errors for the next batches.
    """

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.columns: list[frozenset[str]] = []
        self.fails: list[BaseException] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = 0
        self.most_running = 0

    async def batch(self, keys: list[int], columns: frozenset[str]) -> Sequence[str]:
        """Name ``keys``, once the gate is open."""
        self.batches.append(keys)
        self.columns.append(columns)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            if self.fails:
                raise self.fails.pop(0)
            return [f"name {key}" for key in keys]
        finally:
            self.running -= 1


def loader_of(names: Names, **options: Any) -> BatchLoader[int, str]:
    """Return a loader over ``names`` with counters of its own."""
    return BatchLoader("names", names.batch, stats=OperationStats(), **options)


async def ticks(number: int) -> None:
    """Let the event loop turn ``number`` times."""
    for _ in range(number):
        await asyncio.sleep(0)


async def load_after(loader: BatchLoader[int, str], delay: int, key: int) -> str:
    """Load ``key`` on the given tick."""
    await ticks(delay)
    return await loader.load(key)


# -- batching


@each_loop
async def test_loads_of_one_tick_are_one_batch() -> None:
    """Keys asked for together reach the batch function together, each once, in order."""
    names = Names()
    loader = loader_of(names)

    values = await loader.load_many([3, 1, 3, 2, 1])

    assert values == ["name 3", "name 1", "name 3", "name 2", "name 1"]
    assert names.batches == [[3, 1, 2]]


@each_loop
async def test_loads_arriving_over_several_ticks_are_one_batch() -> None:
    """Sibling levels that reach the loader a few ticks apart still share one statement."""
    names = Names()
    loader = loader_of(names)

    await asyncio.gather(*(load_after(loader, tick, tick) for tick in range(5)))

    assert names.batches == [[0, 1, 2, 3, 4]]


@each_loop
async def test_a_gap_of_a_few_ticks_does_not_split_a_batch() -> None:
    """A field that resolves four ticks later than its sibling still joins the batch."""
    names = Names()
    loader = loader_of(names)

    await asyncio.gather(load_after(loader, 0, 0), load_after(loader, 4, 4))

    assert names.batches == [[0, 4]]


@each_loop
async def test_a_steady_stream_of_loads_is_dispatched_all_the_same() -> None:
    """Waiting for quiet is bounded: loads on every tick cannot put a batch off for ever."""
    names = Names()
    loader = loader_of(names)
    first = loader.load(0)

    for key in range(1, 1_000):
        _ = loader.load(key)
        await asyncio.sleep(0)
        if first.done():
            break

    assert first.done()
    assert len(names.batches[0]) < 100


@each_loop
async def test_chunks_run_one_after_the_other() -> None:
    """More keys than a batch may hold run in sequence: an operation has one connection."""
    names = Names()
    loader = loader_of(names, max_batch_size=2)

    values = await loader.load_many([1, 2, 3, 4, 5])

    assert values == [f"name {key}" for key in (1, 2, 3, 4, 5)]
    assert names.batches == [[1, 2], [3, 4], [5]]
    assert names.most_running == 1


@each_loop
async def test_chunks_run_at_once_up_to_the_bound() -> None:
    """Where more connections are at hand, that many chunks run at once and no more."""
    names = Names()
    loader = loader_of(names, max_batch_size=1, concurrent_chunks=2)

    await loader.load_many([1, 2, 3, 4, 5])

    assert sorted(names.batches) == [[1], [2], [3], [4], [5]]
    assert names.most_running == 2


@each_loop
async def test_a_batch_function_may_load_through_its_own_loader() -> None:
    """A batch that needs other keys of its loader gets them instead of waiting for itself."""

    async def depths(keys: list[int], _: frozenset[str]) -> list[int]:
        return [0 if key == 0 else await loader.load(key - 1) + 1 for key in keys]

    loader = BatchLoader("depths", depths, stats=OperationStats())

    assert await loader.load(3) == 3


@each_loop
async def test_counts_batches_keys_and_cache_hits() -> None:
    """The operation's counters show each batch, its keys, and the loads that needed none."""
    stats = OperationStats()
    loader = BatchLoader("names", Names().batch, stats=stats, max_batch_size=2)

    await loader.load_many([1, 2, 3, 1])
    await loader.load(2)

    assert stats.batches == 2
    assert stats.batched_keys == 3
    assert stats.loaders == {"names": 2}
    assert stats.cache_hits == 2


# -- one waiter never harms another


@each_loop
async def test_a_canceled_waiter_does_not_poison_its_key() -> None:
    """Loading a key again after a waiter was canceled gives the value."""
    names = Names()
    loader = loader_of(names)

    loader.load(1).cancel()

    assert await loader.load(1) == "name 1"
    assert names.batches == [[1]]


@each_loop
async def test_canceling_one_waiter_leaves_the_others_waiting() -> None:
    """Two fields that wait for the same key do not share a fate."""
    names = Names()
    loader = loader_of(names)
    first, second, third = loader.load(1), loader.load(1), loader.load(2)
    names.gate.clear()
    await ticks(20)

    first.cancel()
    late = loader.load(1)
    names.gate.set()

    assert [await second, await third, await late] == ["name 1", "name 2", "name 1"]
    assert first.cancelled()
    assert names.batches == [[1, 2]]


@each_loop
async def test_a_key_whose_waiters_all_left_can_be_loaded_after_the_batch() -> None:
    """The value of an abandoned key is kept and handed to whoever asks next."""
    names = Names()
    loader = loader_of(names)
    abandoned, other = loader.load(1), loader.load(2)
    abandoned.cancel()
    await other

    assert await loader.load(1) == "name 1"
    assert names.batches == [[1, 2]]


@each_loop
async def test_a_value_handed_out_cannot_be_canceled_for_others() -> None:
    """Canceling a load that is already answered changes nothing for the next one."""
    loader = loader_of(Names())
    await loader.load(1)

    loader.load(1).cancel()

    assert await loader.load(1) == "name 1"


@each_loop
async def test_a_failing_sibling_field_does_not_cancel_other_objects() -> None:
    """graphql-core cancels siblings of a failed non-null field; other objects keep their values."""
    schema = build_schema("type Query { items: [Item] } type Item { must: Int! name: String }")
    names = Names()
    loader = loader_of(names)
    names.gate.clear()

    class Item:
        def __init__(self, number: int) -> None:
            self.number = number

        async def must(self, _: Any) -> int:
            await ticks(30)
            if self.number == 0:
                asyncio.get_running_loop().call_later(0.01, names.gate.set)
                message = "no value"
                raise ValueError(message)
            return self.number

        def name(self, _: Any) -> Awaitable[str]:
            return loader.load(self.number // 2)

    root = {"items": [Item(number) for number in range(4)]}
    result = execute(schema, parse("{ items { must name } }"), root)
    assert isinstance(result, Awaitable)
    data, errors = await result

    assert data == {
        "items": [
            None,
            {"must": 1, "name": "name 0"},
            {"must": 2, "name": "name 1"},
            {"must": 3, "name": "name 1"},
        ]
    }
    assert [error.path for error in errors or ()] == [["items", 0, "must"]]
    assert names.batches == [[0, 1]]


# -- failures


@each_loop
async def test_a_failed_batch_is_forgotten() -> None:
    """Every waiter of a failed batch gets its error, and the next load tries again."""
    names = Names()
    names.fails.append(ValueError("database away"))
    loader = loader_of(names)

    outcomes = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == ["database away", "database away"]
    assert await loader.load(1) == "name 1"
    assert names.batches == [[1, 2], [1]]


@each_loop
async def test_a_failed_chunk_leaves_the_other_chunks_alone() -> None:
    """Only the keys of the chunk that failed get its error."""
    names = Names()
    names.fails.append(ValueError("database away"))
    loader = loader_of(names, max_batch_size=1)

    first, second = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)

    assert isinstance(first, ValueError)
    assert second == "name 2"


@each_loop
async def test_a_canceled_batch_fails_its_waiters() -> None:
    """A batch that ends in cancellation is an ordinary error for its waiters, never silence."""
    names = Names()
    names.fails.append(asyncio.CancelledError())
    loader = loader_of(names, max_batch_size=1)

    outcomes = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [BatchCanceled, BatchCanceled]
    assert await loader.load(1) == "name 1"


@each_loop
async def test_a_value_that_is_an_exception_is_raised_to_its_key_alone() -> None:
    """A batch function refuses single keys by returning exceptions; the others get their values."""

    async def halves(keys: list[int], _: frozenset[str]) -> list[int | Exception]:
        return [ValueError(f"{key} is odd") if key % 2 else key // 2 for key in keys]

    loader = BatchLoader("halves", halves, stats=OperationStats())

    odd, even, again = await asyncio.gather(
        loader.load(3), loader.load(4), loader.load(3), return_exceptions=True
    )

    assert even == 2
    assert str(odd) == str(again) == "3 is odd"
    with pytest.raises(ValueError, match="3 is odd"):
        await loader.load(3)


@each_loop
async def test_a_batch_of_the_wrong_length_names_the_loader() -> None:
    """A batch function that loses a key is a fault with a name, not a shifted answer."""

    async def short(keys: list[int], _: frozenset[str]) -> list[int]:
        return keys[1:]

    loader = BatchLoader("short", short, stats=OperationStats())

    with pytest.raises(TypeError, match="short: 1 values for 2 keys"):
        await loader.load_many([1, 2])


@each_loop
async def test_none_is_not_a_key() -> None:
    """Callers answer a null foreign key themselves; loading it is a programming error."""
    loader: BatchLoader[Any, str] = loader_of(Names())

    with pytest.raises(TypeError):
        _ = loader.load(None)


def test_a_loader_belongs_to_a_running_operation() -> None:
    """Making a loader where no event loop runs fails at once."""
    with pytest.raises(RuntimeError):
        BatchLoader("names", Names().batch, stats=OperationStats())


# -- columns

CODE, NAME, CODE_AND_NAME = frozenset({"code"}), frozenset({"name"}), frozenset({"code", "name"})


@each_loop
async def test_a_batch_gets_the_columns_of_all_its_keys() -> None:
    """Fields that want different columns of a relation share one statement over the union."""
    names = Names()
    loader = loader_of(names)

    await asyncio.gather(loader.load(1, CODE), loader.load(2, NAME), loader.load(1, NAME))

    assert names.batches == [[1, 2]]
    assert names.columns == [CODE_AND_NAME]


@each_loop
async def test_a_load_of_columns_at_hand_needs_no_batch() -> None:
    """What the batch of a key read covers later loads, also those that name fewer columns."""
    names = Names()
    loader = loader_of(names)
    await asyncio.gather(loader.load(1, CODE), loader.load(2, NAME))

    await asyncio.gather(loader.load(1, CODE_AND_NAME), loader.load(2, CODE), loader.load(1))

    assert len(names.batches) == 1


@each_loop
async def test_a_load_of_further_columns_reads_the_union() -> None:
    """A key loaded with too few columns is loaded again with old and new ones together."""
    names = Names()
    loader = loader_of(names)
    await loader.load_many([1, 2], CODE)

    await loader.load(1, NAME)
    await loader.load(1, CODE)

    assert names.batches == [[1, 2], [1]]
    assert names.columns == [CODE, CODE_AND_NAME]


@each_loop
async def test_columns_count_while_a_batch_is_in_flight() -> None:
    """A load during a batch joins it when its columns are covered, and starts another when not."""
    names = Names()
    loader = loader_of(names)
    names.gate.clear()
    first = loader.load(1, CODE)
    await ticks(20)

    covered, wider = loader.load(1, CODE), loader.load(1, NAME)
    await ticks(20)
    names.gate.set()

    assert {await first, await covered, await wider} == {"name 1"}
    assert names.batches == [[1], [1]]
    assert names.columns == [CODE, CODE_AND_NAME]


@each_loop
async def test_a_failed_wider_load_does_not_take_the_narrower_with_it() -> None:
    """The error of a second batch of a key reaches only who waited for the second batch."""
    names = Names()
    loader = loader_of(names)
    narrow = await loader.load(1, CODE)
    names.fails.append(ValueError("database away"))

    with pytest.raises(ValueError, match="database away"):
        await loader.load(1, NAME)

    assert narrow == await loader.load(1, CODE) == "name 1"


# -- clear, prime, close


@each_loop
async def test_a_cleared_key_is_loaded_again() -> None:
    """Clearing one key, or all, makes the next load read anew."""
    names = Names()
    loader = loader_of(names)
    await loader.load_many([1, 2, 3])

    await loader.clear(1).load_many([1, 2, 3])
    await loader.clear_all().load_many([1, 2, 3])

    assert names.batches == [[1, 2, 3], [1], [1, 2, 3]]


@each_loop
async def test_clearing_a_key_that_is_not_read_yet_keeps_it_once_in_its_batch() -> None:
    """A key that still waits for its batch cannot be stale, and never goes out twice."""
    names = Names()
    loader = loader_of(names)

    first = loader.load(1)
    second = loader.clear(1).load(1)
    third = loader.clear_all().load(1)

    assert {await first, await second, await third} == {"name 1"}
    assert names.batches == [[1]]


@each_loop
async def test_a_key_cleared_in_flight_is_loaded_again() -> None:
    """Clearing a key whose batch runs keeps its waiters and reads anew for the next."""
    names = Names()
    loader = loader_of(names)
    names.gate.clear()
    first = loader.load(1)
    await ticks(20)

    second = loader.clear(1).load(1)
    names.gate.set()

    assert {await first, await second, await loader.load(1)} == {"name 1"}
    assert names.batches == [[1], [1]]


@each_loop
async def test_a_primed_key_needs_no_batch() -> None:
    """A value at hand answers loads of the columns it covers, and no others."""
    names = Names()
    loader = loader_of(names)
    loader.prime(1, "primed", CODE).prime(1, "too late", CODE)

    assert await loader.load(1, CODE) == "primed"
    assert names.batches == []
    assert await loader.load(1, NAME) == "name 1"
    assert names.columns == [CODE_AND_NAME]


@each_loop
async def test_a_primed_exception_is_raised() -> None:
    """Priming with an exception answers the key with it, as a batch would."""
    loader = loader_of(Names())
    loader.prime(1, ValueError("refused"))

    with pytest.raises(ValueError, match="refused"):
        await loader.load(1)


@each_loop
async def test_closing_cancels_what_still_runs() -> None:
    """The end of an operation ends its batches before its connection goes back."""
    names = Names()
    loader = loader_of(names)
    names.gate.clear()
    in_flight = loader.load(1)
    await ticks(20)
    queued = loader.load(2)

    await loader.aclose()

    assert names.running == 0
    outcomes = await asyncio.gather(in_flight, queued, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BatchCanceled, BatchCanceled]
    with pytest.raises(RuntimeError, match="names"):
        _ = loader.load(3)
    assert names.batches == [[1]]


@each_loop
async def test_closing_at_any_moment_leaves_nobody_waiting() -> None:
    """Whether a batch waits, is about to start or runs: its waiters get an answer."""
    for moment in range(20):
        names = Names()
        names.gate.clear()
        loader = loader_of(names)
        load = loader.load(1)
        await ticks(moment)

        await loader.aclose()

        with pytest.raises(BatchCanceled):
            await load
