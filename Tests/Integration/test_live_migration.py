"""An instance that is moved to another compute node while it is held."""

import pytest

import support
from lab import Lab, wait_until
from live import RESUMED
from test_live_faults import ended
from test_live_states import bare, idle, idle_guest  # noqa: F401

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("live")]


@pytest.fixture(scope="module")
def other_node(lab):
    started = Lab(None, "--hostname", "compute-2.example.com")
    yield started
    started.close()


def move(guest, node, *options):
    place = node.directory / "migration"
    place.mkdir(exist_ok=True)
    place.chmod(0o777)
    return guest.virsh("migrate", "--live", "--p2p", "--unsafe", "--migrateuri",
                       f"unix://{place}/socket", "--desturi", node.uri, *options, check=False)


def test_a_guest_that_is_migrated_away_while_it_is_held_is_not_resumed_there(
    site, bare, events, other_node
):
    holding = site.hold(bare)
    events.clear()
    moved = move(bare, other_node)
    assert moved.returncode == 0, moved.stderr
    try:
        ended(holding, support.WRONG_STATE, "migrat")
        assert holding.record()["state"] == "ended"
        assert bare.state() == "shut off" and site.recover().code == 0
        assert RESUMED not in events.since(bare)
        # Whoever paused it has to look for it there: libvirt moved it as it was.
        assert other_node.virsh("domstate", bare.uuid) == "paused"
    finally:
        other_node.virsh("destroy", bare.uuid, check=False)
