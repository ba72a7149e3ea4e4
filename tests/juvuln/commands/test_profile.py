"""The profile file: private, whole, and clear about what is wrong with it."""

from pathlib import Path

import pytest

from juvuln.commands.errors import UsageError
from juvuln.commands.profile import Profile, profile_file, read_profiles, write_profile

ONE = Profile("http://127.0.0.1:8097", "demo", "t0ken: #1")
TWO = Profile("https://example.org", "true", "123")


def test_profiles_are_read_as_they_were_written_from_a_file_of_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "profile.yaml"
    write_profile(path, "default", ONE)
    write_profile(path, "work", TWO)
    assert read_profiles(path) == {"default": ONE, "work": TWO}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]
    write_profile(path, "default", TWO)
    assert read_profiles(path) == {"default": TWO, "work": TWO}


def test_no_file_is_no_profiles(tmp_path: Path) -> None:
    assert read_profiles(tmp_path / "profile.yaml") == {}


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "profile.yaml"
    link.symlink_to(real)
    write_profile(link, "default", ONE)
    assert link.is_symlink()
    assert read_profiles(real) == {"default": ONE}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "profile.yaml"
    write_profile(path, "default", ONE)
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"others can read the tokens in it; do: chmod 600 {path}"):
        read_profiles(path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("profiles: {default: {server: a, domain: b, token: s3cret", ": this is not YAML"),
        ("profiles: [s3cret]", "it must hold `profiles:`"),
        ("token: s3cret", "it must hold `profiles:`"),
        (
            "profiles: {default: {server: a, token: s3cret}}",
            "profile default: it must have exactly server, domain, token",
        ),
        ("profiles: {default: {server: a, domain: b, token: 12345}}", "profile default: token must be text"),
    ],
)
def test_a_fault_is_named_without_showing_what_stands_there(tmp_path: Path, content: str, fault: str) -> None:
    path = tmp_path / "profile.yaml"
    path.touch(mode=0o600)
    path.write_text(content)
    with pytest.raises(UsageError) as raised:
        read_profiles(path)
    assert fault in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_the_file_is_in_the_folder_for_configuration() -> None:
    assert profile_file({"HOME": "/home/ada"}) == Path("/home/ada/.config/selfhost/profile.yaml")
    assert profile_file({"HOME": "/h", "XDG_CONFIG_HOME": "/etc/ada"}) == Path("/etc/ada/selfhost/profile.yaml")
    # A relative one is to be ignored, says the specification of these folders.
    assert profile_file({"HOME": "/h", "XDG_CONFIG_HOME": "here"}) == Path("/h/.config/selfhost/profile.yaml")
