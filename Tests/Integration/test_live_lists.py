"""What `glovebox instances` and `glovebox sessions` show, to people and to programs."""

import os
import re

import pytest

import support
from test_live_states import described, idle, idle_guest  # noqa: F401

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("live")]



def test_sessions_show_what_is_held_was_held_and_was_left_behind(site, guest):
    holding = site.hold(guest)
    [row] = site.sessions("--held")
    assert (row["state"], row["uuid"], row["domain_id"], row["mode"], row["user"]) == (
        "active", guest.uuid, guest.id, "strict", "root")
    assert "paused_ms" not in row and row["uri"] == site.lab.uri
    assert re.search(rf"{row['session']}\s+active\s+-\s+root\s+{guest.uuid}",
                     site.ok("sessions").text)
    os.kill(holding.custodian, 9)
    holding.finish()
    assert site.sessions("--held") == []
    shown = site.ok("sessions").text
    assert "recovered" in shown and "active" not in shown


def test_names_that_users_chose_are_harmless_on_a_terminal(site, idle):
    bad = "web\u009b31m\u202e&#10;GLOVEBOX"

    def renamed(xml):
        return re.sub(r"<nova:name>[^<]*<", f"<nova:name>{bad}<", xml).replace(
            "web-shop", "shop\u009d0;x\u0085")

    with described(idle, renamed):
        shown = site.ok("instances", "--connect", site.lab.uri)
        text = shown.out.decode()
        assert not re.search("[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]", text), text
        assert not any(row.startswith("GLOVEBOX") for row in text.splitlines())
        found = {row["uuid"]: row for row in site.ok(
            "instances", "--connect", site.lab.uri, "--json").lines}[idle.uuid]
        assert found["nova"]["name"] == bad.replace("&#10;", "\n")
        assert found["nova"]["project"] == "shop\u009d0;x\u0085"
    directory = site.state / "sessions" / "\x1b[31mred\u202e"
    directory.mkdir(parents=True)
    (site.state / "sessions").chmod(0o700)
    for result in (site.ok("sessions"), site.recover()):
        text = (result.out + result.err).decode()
        assert not re.search("[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]", text), text
        assert "red" in text
    assert site.sessions()[0]["session"] == "\x1b[31mred\u202e"


def test_instances_show_state_disks_and_only_those_that_run_where_asked(site, guest, idle):
    rows = site.ok("instances", "--connect", site.lab.uri, "--json").lines
    assert {row["uuid"] for row in rows} >= {guest.uuid, idle.uuid}
    running = site.ok("instances", "--running", "--connect", site.lab.uri, "--json").lines
    assert guest.uuid in {row["uuid"] for row in running} and idle.uuid not in {
        row["uuid"] for row in running}
    [row] = site.ok("instances", "--connect", site.lab.uri, "--json", guest.name).lines
    assert (row["id"], row["state"], row["job"]) == (guest.id, "running", "none")
    assert row["nova"]["flavor"] == "lab.tiny"
    for disk in row["disks"][:2]:
        layers = [str(path) for path in guest.chain() if path.name != "ballast"]
        assert {layer["path"] for layer in disk["layers"]} <= set(layers) and "error" not in disk
    missing = site.run("instances", "--connect", site.lab.uri, "nobody")
    assert missing.code == support.MISSING, str(missing)
