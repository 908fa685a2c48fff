"""Settings: one table, from which flags, variables and help are made."""

import argparse
from functools import lru_cache

import pytest

from audiokit.settings import TABLE, BadSetting, Settings, add_flags, seconds, size

SIZES = [
    ("65536", 65536, "plain bytes"),
    ("64KiB", 65536, "binary units by their own name"),
    ("16G", 16 << 30, "a bare letter is binary, as in every tool of this kind"),
    ("1kB", 1000, "decimal units by theirs"),
    ("0", 0, "nothing is a size"),
]
TIMES = [("10", 10.0), ("2.5s", 2.5), ("500ms", 0.5), ("5m", 300.0), ("1h", 3600.0), ("90d", 7776000.0)]


@pytest.mark.parametrize("text, value, why", SIZES)
def test_sizes_are_read_with_their_units(text, value, why):
    assert size(text) == value, why


@pytest.mark.parametrize("text, value", TIMES)
def test_times_are_read_with_their_units(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1e9", "12 parsecs", "0x10", "١٢", "1.5GiB", "nan"])
def test_what_is_no_size_is_named(text):
    with pytest.raises(BadSetting, match="not a size"):
        size(text)


@pytest.mark.parametrize("text", ["", "-1", "inf", "nan", "1 fortnight"])
def test_what_is_no_time_is_named(text):
    with pytest.raises(BadSetting, match="not a time"):
        seconds(text)


TOO_MUCH = [
    ("session_ttl", "999999999999d", "a log-in would last longer than the catalogue can count"),
    ("result_ttl", "36601d", "more than a hundred years"),
    ("max_upload", "8388608TiB", "2 ** 63 bytes"),
]


@pytest.mark.parametrize("name, text, why", TOO_MUCH)
def test_what_no_clock_and_no_disk_can_count_is_refused(name, text, why):
    with pytest.raises(BadSetting, match=f"--{name.replace('_', '-')}: '{text}' is more than"):
        Settings.of({name: text}, {})


def test_as_much_as_can_be_counted_is_taken():
    assert size("8388607TiB") == (1 << 63) - (1 << 40) and seconds("36600d") == 100 * 366 * 86400


# What is nothing, or would never have an effect, says so at the start.
MISTAKES = [
    ("host", "", "an empty address is every address: nothing is open by accident"),
    ("data", "", "an empty folder is the one that happens to be current"),
    ("allowed_host", "audio.example:8000", "hosts are compared without their port"),
    ("allowed_host", "*", "nobody is called that"),
    ("allowed_host", "https://audio.example", "an origin is no host"),
    ("allowed_host", "audio.example,b c", "two words in one"),
    ("allowed_host", "audio..example", "no name has an empty label"),
]


@pytest.mark.parametrize("name, text, why", MISTAKES)
def test_what_could_only_be_a_mistake_is_refused(name, text, why):
    for given, environment in (({name: text}, {}), ({}, {"AUDIOSERVER_" + name.upper(): text})):
        with pytest.raises(BadSetting):
            Settings.of(given, environment)


def test_hosts_are_names_in_either_case():
    assert Settings.of({"allowed_host": "Audio.Example, my_nas,"}, {}).allowed_host == ("audio.example", "my_nas")


def test_a_flag_wins_over_the_environment_and_both_over_the_default():
    assert Settings().port == 8000
    assert Settings.of({}, {"AUDIOSERVER_PORT": "81"}).port == 81
    assert Settings.of({"port": "82"}, {"AUDIOSERVER_PORT": "81"}).port == 82


def test_a_bad_value_is_blamed_on_where_it_was_given():
    with pytest.raises(BadSetting, match="--max-upload: 'lots'"):
        Settings.of({"max_upload": "lots"}, {})
    with pytest.raises(BadSetting, match="AUDIOSERVER_PORT: '99999'"):
        Settings.of({}, {"AUDIOSERVER_PORT": "99999"})


def test_settings_do_not_change():
    with pytest.raises(AttributeError):
        Settings().port = 1
    with pytest.raises(BadSetting, match="no setting 'prot'"):
        Settings(prot=1)


@lru_cache(maxsize=None)
def help_text():
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return parser.format_help()


@pytest.mark.parametrize("setting", TABLE, ids=lambda setting: setting.name)
def test_every_setting_has_a_flag_a_variable_and_a_reason(setting):
    assert setting.flag in help_text()
    assert setting.variable == "AUDIOSERVER_" + setting.name.upper()
    assert len(setting.reason.split()) >= 3
    setting.parse(setting.default)


@pytest.mark.parametrize("name", [
    "work_threads", "bulk_threads", "far_threads", "max_connections", "jobs", "max_head", "max_fields", "max_target",
])
def test_nothing_at_all_is_no_crew_and_no_room(name):
    """A server without threads, or that takes no head, would never answer a request."""
    with pytest.raises(BadSetting, match="--" + name.replace("_", "-")):
        Settings.of({name: "0"}, {})
