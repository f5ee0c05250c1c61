"""One image for each recipe: whole or not there, built by one at a time, and never removed under a user."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from host import cache
from host.cache import Image
from sriov.recipe import SRIOV


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "virtnetplug" / "lab"


def write(image: Image) -> None:
    image.disk.write_text("disk")


def ensure(build: Callable[[Image], None] = write) -> Image:
    return cache.ensure(SRIOV, build, lambda _text: None)


def test_an_image_is_built_once() -> None:
    built: list[Image] = []
    image = ensure(lambda place: (write(place), built.append(place))[1])
    assert image.disk.read_text() == "disk"
    assert ensure(built.append) == image and len(built) == 1


def test_a_build_that_fails_leaves_nothing(home: Path) -> None:
    def fail(image: Image) -> None:
        write(image)
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        ensure(fail)
    assert [path.name for path in home.iterdir()] == ["sriov.lock"]


def test_what_a_killed_build_left_is_removed(home: Path) -> None:
    (home / ".sriov-left").mkdir(parents=True)
    ensure()
    assert not (home / ".sriov-left").exists()


def test_a_second_build_waits_for_the_first_and_says_so() -> None:
    waiting = threading.Event()
    built: list[Image] = []

    def build(image: Image) -> None:
        built.append(image)
        assert waiting.wait()
        write(image)

    threads = [
        threading.Thread(target=cache.ensure, args=(SRIOV, build, lambda _text: waiting.set())) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_images_of_other_recipes_go_unless_they_are_in_use(home: Path) -> None:
    used, unused, other_lab = (home / name for name in ("sriov-0001", "sriov-0002", "xen-0001"))
    for directory in (used, unused, other_lab):
        directory.mkdir(parents=True)
    with cache.use(Image(used)) as is_there:
        assert is_there
        ensure()
        assert used.exists() and not unused.exists() and other_lab.exists()


def test_an_image_that_is_gone_cannot_be_used(home: Path) -> None:
    with cache.use(Image(home / "sriov-gone")) as is_there:
        assert not is_there


def test_the_recipe_is_what_is_in_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labs = tmp_path / "contrib-lab"
    for part in ("host", "image", "inside", "sriov", "xen"):
        (labs / part).mkdir(parents=True)
        (labs / part / "file").write_text("one")
    monkeypatch.setattr(cache, "LABS", labs)
    before = cache.image_of(SRIOV)
    (labs / "host/file").write_text("two")
    (labs / "xen/file").write_text("two")  # another lab's
    assert cache.image_of(SRIOV) == before
    (labs / "inside/file").write_text("two")
    assert cache.image_of(SRIOV) != before
