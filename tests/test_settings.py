"""Settings: one table, from which flags, variables and help are made."""

import argparse

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


@pytest.mark.parametrize("setting", TABLE, ids=lambda setting: setting.name)
def test_every_setting_has_a_flag_a_variable_and_a_reason(setting):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    assert setting.flag in parser.format_help()
    assert setting.variable == "AUDIOSERVER_" + setting.name.upper()
    assert len(setting.reason.split()) >= 3
    setting.parse(setting.default)


@pytest.mark.parametrize("name", ["work_threads", "bulk_threads", "max_connections", "jobs"])
def test_nothing_at_all_is_no_crew(name):
    """A server without threads would take requests and never answer one."""
    with pytest.raises(BadSetting, match="--" + name.replace("_", "-")):
        Settings.of({name: "0"}, {})
