"""Who makes room when requests hold too much memory."""

from collections.abc import Hashable

from chatwren.web.http.memory import LITTLE, Held, Memory

_UNIT = LITTLE // 4


class _Request:
    """A connection, and what it holds."""

    def __init__(self, memory: Memory, *owners: Hashable, whole: bool = False) -> None:
        self.held = Held()
        self._memory = memory
        self._owners = owners
        self._whole = whole

    @property
    def ended(self) -> bool:
        return self.held.ended

    def comes(self, size: int) -> "_Request":
        self.held.kept += size * _UNIT
        self._memory.count(self.held, self)
        return self

    def owners(self) -> tuple[Hashable, ...]:
        return self._owners

    def may_end(self) -> bool:
        return not self._whole

    def end(self) -> None:
        self.held.end()
        self._memory.drop(self.held)


def test_up_to_the_bound_nobody_ends() -> None:
    memory = Memory(160 * _UNIT)
    requests = [_Request(memory, "net", user).comes(40) for user in range(4)]
    assert not any(one.ended for one in requests)


def test_of_whoever_holds_most_the_oldest_makes_room() -> None:
    memory = Memory(160 * _UNIT)
    early = _Request(memory, "little").comes(30)
    much = [_Request(memory, "much").comes(40) for _ in range(3)]
    late = _Request(memory, "late").comes(30)
    assert [one.ended for one in much] == [True, False, False]
    assert not early.ended
    assert not late.ended
    late.comes(40)
    assert [one.ended for one in much] == [True, True, False]


def test_whoever_asks_for_too_much_ends_alone() -> None:
    memory = Memory(160 * _UNIT)
    others = [_Request(memory, number).comes(50) for number in range(3)]
    assert _Request(memory, "much").comes(60).ended
    assert not any(one.ended for one in others)


def test_a_user_of_many_networks_is_one_and_a_network_of_many_users_too() -> None:
    for owners in ([("net", user) for user in range(5)], [(net, "user") for net in range(5)]):
        memory = Memory(160 * _UNIT)
        other = _Request(memory, "other", "another").comes(50)
        many = [_Request(memory, *both).comes(25) for both in owners]
        assert not other.ended
        assert [one.ended for one in many] == [True, False, False, False, False]


def test_in_a_network_the_user_who_holds_most_makes_room() -> None:
    memory = Memory(160 * _UNIT)
    early = _Request(memory, "net", "little").comes(20)
    much = [_Request(memory, "net", "much").comes(50) for _ in range(3)]
    assert [one.ended for one in much] == [True, False, False]
    assert not early.ended


def test_a_whole_request_is_answered_and_who_asks_for_more_is_not() -> None:
    memory = Memory(160 * _UNIT)
    whole = [_Request(memory, "much", user, whole=True).comes(40) for user in range(4)]
    assert [_Request(memory, "little").comes(10).ended for _ in range(3)] == [True] * 3
    assert not any(one.ended for one in whole)
    whole[0].comes(-40)
    assert not _Request(memory, "little").comes(10).ended


def test_nobody_has_more_than_three_quarters_however_whole_it_is() -> None:
    memory = Memory(160 * _UNIT)
    whole = [_Request(memory, "net", "much", whole=True).comes(40) for _ in range(3)]
    assert _Request(memory, "net", "much").comes(5).ended
    others = [_Request(memory, "net", "little").comes(20) for _ in range(2)]
    assert not any(one.ended for one in [*whole, *others])
    memory.drop(whole[0].held)
    assert not _Request(memory, "net", "much").comes(5).ended


def test_whoever_holds_little_stays() -> None:
    memory = Memory(160 * _UNIT)
    little = [_Request(memory, "net").comes(4) for _ in range(3)]
    whole = _Request(memory, "much", whole=True).comes(160)
    assert not _Request(memory, "net").comes(4).ended
    assert _Request(memory, "net").comes(5).ended
    assert not any(one.ended for one in [*little, whole])


def test_what_was_written_to_files_is_held_no_more() -> None:
    memory = Memory(160 * _UNIT)
    written = _Request(memory, "files").comes(120)
    written.held.kept = 20 * _UNIT
    assert not _Request(memory, "other").comes(120).ended
    assert not written.ended


def test_what_ended_is_forgotten() -> None:
    memory = Memory(160 * _UNIT)
    for _ in range(10):
        one = _Request(memory, "net").comes(120)
        assert not one.ended
        memory.drop(one.held)
        memory.drop(one.held)


def test_whose_client_has_gone_is_held_until_nothing_is_done_for_it() -> None:
    memory = Memory(160 * _UNIT)
    gone = _Request(memory, "net", whole=True).comes(150)
    memory.leave(gone.held)
    assert _Request(memory, "other").comes(20).ended
    assert not gone.ended
    memory.drop(gone.held)
    memory.leave(gone.held)
    assert not _Request(memory, "other").comes(20).ended
