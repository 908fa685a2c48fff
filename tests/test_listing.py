"""/list: what its parameters mean, and that every way through the catalogue gives the same answer."""

from __future__ import annotations

import hashlib
import json
import random
import re
import sqlite3
import unicodedata
from contextlib import closing
from functools import lru_cache

import pytest
from support import ROOT

from audiokit import listing
from audiokit.blobs import FileOps
from audiokit.catalogue import Catalogue
from audiokit.catalogue.pages import Pages
from audiokit.catalogue.rows import added, fold, row_of, when
from audiokit.listing import Among, Between, Labelled, Named, Words, parse
from audiokit.wire.problems import Refusal

SCHEMA = (ROOT / "schema.sql").read_text("utf-8")
FAMILIES = {"wav": "wav", "rf64": "wav", "mp3": "mp3", "flac": "flac", "ogg": "ogg"}

GOOD = [
    ("format=wav", Among("format", ("wav",)), "a word"),
    ("format=WAV", Among("format", ("wav",)), "words have no case"),
    ("format=wav&format=mp3", Among("format", ("mp3", "wav")), "repeat means or"),
    ("codec=pcm_s16le", Among("codec", ("pcm_s16le",)), "a codec's word"),
    ("samplerate=44100", Among("samplerate", (44100,)), "Hz"),
    ("duration=1.5", Among("duration", (1.5,)), "seconds"),
    ("maxduration=300", Between("duration", None, 300.0), "an open beginning"),
    ("minduration=.5&maxduration=1e2", Between("duration", 0.5, 100.0), "both ends, a shape of number that JSON has"),
    ("minsize=0", Between("size", 0, None), "nought is a size"),
    ("truncated=true", Among("truncated", (1,)), "truth"),
    ("sha256=" + "AB" * 32, Among("sha256", ("ab" * 32,)), "hexadecimal digits have no case"),
    ("name=a.wav", Named(("a.wav",), ()), "a name"),
    ("name=e\u0301", Named(("\u00e9",), ()), "names are compared in NFC"),
    ("name=*.wav&name=b", Named(("b",), ("*.wav",)), "patterns and names together"),
    ("q=moon light", Words((("light", "moon"),)), "every word"),
    ("q=moon&q=sun", Words((("moon",), ("sun",))), "repeat means or"),
    ("tag.artist=Bach", Labelled("tag.artist", ("Bach",)), "a tag"),
    ("meta.a.b=c", Labelled("meta.a.b", ("c",)), "a key may have dots"),
    ("uploadedafter=1970-01-01T00:00:01Z", Between("uploaded", 1000, None), "RFC 3339"),
    ("uploadedafter=1970-01-01T00:00:00.0001Z", Between("uploaded", 1, None), "finer than we keep: into the range"),
    ("uploadedbefore=1970-01-01T00:00:00.0019Z", Between("uploaded", None, 1), "and from the other end"),
    ("uploadedafter=1970-01-01T01:00:00+01:00", Between("uploaded", 0, None), "an offset"),
    ("uploadedafter=1970-01-01t00:00:00-00:30", Between("uploaded", 1_800_000, None), "section 5.6: t may be small"),
    ("uploadedafter=1970-01-02", Between("uploaded", 86_400_000, None), "a date is its midnight"),
    ("uploadedafter=1970-01-01T01:00:00 01:00", Between("uploaded", 0, None), "a plus that nobody escaped is a space here"),
    ("uploadedafter=1972-06-30T23:59:60Z", Between("uploaded", 78_796_800_000, None), "a leap second (section 5.7)"),
    ("uploadedbefore=1972-06-30T15:59:60.5-08:00", Between("uploaded", None, 78_796_800_500), "the same one elsewhere"),
]

BAD = [
    ("limit=0", "limit", "a page has a record"), ("limit=1001", "limit", "the most"), ("limit=-1", "limit", "no sign"),
    ("limit=ten", "limit", "no word"), ("limit=1&limit=1", "limit", "single-valued"), ("limit=", "limit", "empty"),
    ("limit=\u0661", "limit", "digits are ASCII digits"), ("limit=1e2", "limit", "whole numbers have no exponent"),
    ("sort=mood", "sort", "no such key"), ("sort=--name", "sort", "one minus"), ("sort=-", "sort", "no key"),
    ("sort=name&sort=size", "sort", "single-valued"),
    ("fields=id,mood", "fields", "no such field"), ("fields=id,", "fields", "an empty one"),
    ("minduration=nan", "minduration", "finite"), ("maxduration=inf", "maxduration", "finite"),
    ("minduration=-1", "minduration", "nothing is shorter than nought"), ("minduration=", "minduration", "empty"),
    ("minduration=1&minduration=2", "minduration", "single-valued"), ("duration=1e400", "duration", "finite"),
    ("minduration=1_0", "minduration", "no Python"), ("minduration= 1", "minduration", "no space"),
    ("samplerate=44.1", "samplerate", "whole"), ("size=99999999999999999999", "size", "beyond 64 bits"),
    ("truncated=yes", "truncated", "true or false"), ("truncated=1", "truncated", "true or false"),
    ("sha256=abc", "sha256", "64 digits"), ("format=", "format", "empty"), ("codec=a b", "codec", "one word"),
    ("uploadedafter=yesterday", "uploadedafter", "no date"), ("uploadedafter=2026-13-01", "uploadedafter", "no month"),
    ("uploadedafter=2026-02-30T00:00:00Z", "uploadedafter", "no day"),
    ("uploadedafter=2026-01-01T00:00:00", "uploadedafter", "RFC 3339 wants the offset"),
    ("uploadedafter=2026-01-01T00:00:00+24:00", "uploadedafter", "no such offset"),
    ("uploadedafter=2026-01-01T00:00:00  1:00", "uploadedafter", "one space, where the plus was"),
    ("uploadedafter=2026-01-01T12:00:60Z", "uploadedafter", "no leap second is at noon"),
    ("uploadedafter=2026-01-01T23:59:61Z", "uploadedafter", "nor are there two"),
    ("uploadedafter=0000-01-01", "uploadedafter", "no such year here"),
    ("uploadedafter=2026-01-01&uploadedafter=2026-01-01", "uploadedafter", "single-valued"),
    ("name=*a*b*c*d*", "name", "five stars"), ("name=", "name", "empty"), ("q=", "q", "empty"), ("q= ", "q", "no word"),
    ("q=" + " ".join("abcdefghijklmnopq"), "q", "too many words"),
    ("mood=good", "mood", "unknown"), ("tag.=x", "tag.", "a tag without a key"), ("meta.=x", "meta.", "the same"),
    ("Limit=5", "Limit", "parameters have a case"), ("tag.a=", "tag.a", "empty"), ("=5", "", "no name"),
    ("cursor=x", "cursor", "not ours"), ("cursor=" + "A" * 30, "cursor", "not ours"),
    ("cursor=%", "cursor", "not base64"), ("cursor=" + "A" * 5000, "cursor", "too long"),
    ("q=\ud800", "q", "half a surrogate pair"),
]


def pairs(query):
    return [tuple(part.partition("=")[::2]) for part in query.split("&")] if query else []


@pytest.mark.parametrize("query, filter, why", GOOD)
def test_a_parameter_becomes_a_filter(query, filter, why):
    assert parse(pairs(query)).filters == (filter,), why


@pytest.mark.parametrize("query, parameter, why", BAD)
def test_a_wrong_parameter_is_refused_by_its_name(query, parameter, why):
    with pytest.raises(Refusal) as caught:
        parse(pairs(query))
    assert caught.value.code == "bad-parameter", why
    assert json.loads(caught.value.body())["parameter"] == parameter, why


def test_too_many_parameters_are_refused():
    with pytest.raises(Refusal):
        parse([("name", str(n)) for n in range(listing.MOST_PARAMETERS + 1)])


def test_the_defaults():
    asked = parse([])
    assert (asked.filters, asked.sort, asked.descending, asked.limit, asked.fields) == ((), "uploaded", True, 100, None)


def test_fields_come_in_the_order_of_the_record():
    assert parse(pairs("fields=name,id,name")).fields == ("id", "name")


def test_the_order_of_parameters_means_nothing_to_a_cursor():
    one, other = parse(pairs("format=wav&minsize=5&sort=size")), parse(pairs("sort=size&minsize=5&format=wav&limit=7"))
    cursor = one.cursor_behind(12, "id")
    assert parse(pairs("sort=size&minsize=5&format=wav") + [("cursor", cursor)]).after == (12, "id")
    assert other.seal == one.seal


@pytest.mark.parametrize("query", ["format=mp3&sort=size", "format=wav&sort=-size", "format=wav", "sort=size"])
def test_a_cursor_of_another_question_is_refused(query):
    cursor = parse(pairs("format=wav&sort=size")).cursor_behind(12, "id")
    with pytest.raises(Refusal):
        parse(pairs(query) + [("cursor", cursor)])


def test_a_cursor_with_any_character_changed_is_refused():
    cursor = parse([]).cursor_behind(1_700_000_000_000, "abcdefgh")
    for n, was in enumerate(cursor):
        for now in "Aa0_":
            if now != was:
                with pytest.raises(Refusal):
                    parse([("cursor", cursor[:n] + now + cursor[n + 1:])])


@pytest.mark.parametrize("value, id", [
    ("text", "id"), (None, "id"), (True, "id"), (1, 2), (10 ** 30, "id"), ([], "id"), (1, "\ud800"),
])
def test_a_cursor_that_was_forged_with_care_still_holds_a_place(value, id):
    with pytest.raises(Refusal):
        parse([("cursor", parse([]).cursor_behind(value, id))])


def test_a_name_in_a_cursor_is_one_that_a_catalogue_can_compare():
    asked = parse(pairs("sort=name"))
    with pytest.raises(Refusal):
        parse([*pairs("sort=name"), ("cursor", asked.cursor_behind("\ud800", "id"))])


def test_the_next_query_repeats_what_was_asked():
    asked = parse(pairs("q=moon light&name=a%26b=c&limit=5"))
    assert asked.next_query("CURSOR") == "q=moon%20light&name=a%2526b%3Dc&limit=5&cursor=CURSOR"
    assert parse([]).next_query("CURSOR") == "cursor=CURSOR"


@pytest.mark.parametrize("query, quick", [
    ("", True), ("limit=1000", True), ("format=wav", True), ("minduration=5&sort=duration", True), ("name=a", True),
    ("name=*a*", False), ("q=a", False), ("minduration=5", False), ("format=wav&codec=x", False), ("fields=id", False),
    ("tag.artist=x", False), ("format=wav&format=mp3", False), ("format=wav&sort=size", False),
])
def test_the_loop_answers_only_what_one_index_answers(query, quick):
    assert parse(pairs(query)).is_quick is quick


# -- every way gives the same answer ------------------------------------------------------------------------

WORDS = "moon Light Über straße 雨 [x] a*b 50% night_song \"quoted\" it's".split()


def records(count):
    rng = random.Random(5)
    for n in range(count):
        container = rng.choice(["wav", "wav", "rf64", "mp3", "flac"])
        name = f"{rng.choice(WORDS)} {rng.choice(WORDS)} {n:03}.{container}"
        bits = rng.choice([16, 24]) if container != "mp3" else None
        artists = rng.choice([{}, {"artist": "Bach"}, {"artist": ["Bach", "Händel"]}, {"comment": "long " * 40}])
        yield {
            **{field: None for field in listing.RECORD_FIELDS},
            "id": "id%05d" % rng.randrange(10 ** 5), "name": name, "size": rng.randrange(20) * 1000,
            "sha256": "%064x" % (n // 2),
            "uploaded": when(1_700_000_000_000 + n // 3), "container": container,
            "codec": {"mp3": "mp3", "flac": "flac"}.get(container, "pcm_s16le"), "mime": "audio/x",
            "duration": rng.randrange(30) / 4, "truncated": rng.random() < 0.1,
            "sample_rate": rng.choice([8000, 44100]),
            "channels": rng.choice([1, 2]), "bits_per_sample": bits, "bitrate": rng.choice([None, 64000, 128000]),
            "shared": False, "tags": artists, "metadata": rng.choice([{}, {"project": "Über Stück"}]), "warnings": [],
        }


def adding(record, owner):
    """The statements that add a record."""
    ms = 1_700_000_000_000 + int(record["sha256"], 16)  # any, as long as both sides say the same
    record["uploaded"] = when(ms)
    key = hashlib.md5(record["id"].encode() + bytes([owner])).hexdigest()
    family = FAMILIES[record["container"]]
    return added(record, row_of(record, owner=owner, key=key, uploaded_ms=ms, family=family, version=1))


def fill(catalogue, found, owner):
    writes = [adding(record, owner) for record in found]
    counts = iter(catalogue.write([one for write in writes for one in write]))
    assert all([next(counts) for _ in write][0] == 1 for write in writes)


@pytest.fixture(scope="module", params=["trigrams", "scans"])
def catalogue(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.db"
    one = Catalogue(path, SCHEMA, FileOps(), trigrams=request.param == "trigrams")
    fill(one, MINE, 0)
    fill(one, [{**record, "id": "other" + record["id"]} for record in MINE[:50]], 7)
    yield one
    one.close()


MINE = list({record["id"]: record for record in records(300)}.values())


def fits(record, filter):
    """The meaning of a filter, said once more without SQL."""
    if isinstance(filter, Words):
        labels = values_of(record["tags"]) + values_of(record["metadata"])
        text = "\n".join([record["name"], *(value for _, value in labels)])
        return any(all(fold(word) in fold(text) for word in words) for words in filter.alternatives)
    if isinstance(filter, Labelled):
        kind, _, key = filter.label.partition(".")
        labels = values_of(record["tags" if kind == "tag" else "metadata"])
        return any(k == key and v in filter.values for k, v in labels)
    if isinstance(filter, Named):
        patterns = [re.escape(p).replace(r"\*", ".*").replace(r"\?", ".") for p in filter.patterns]
        return record["name"] in filter.names or any(re.fullmatch(p, record["name"], re.DOTALL) for p in patterns)
    field = {"samplerate": "sample_rate", "bits": "bits_per_sample"}.get(filter.field, filter.field)
    value = FAMILIES[record["container"]] if field == "format" else record[field]
    if field == "uploaded":
        value = 1_700_000_000_000 + int(record["sha256"], 16)
    if isinstance(filter, Among):
        return value in {FAMILIES.get(v, v) if field == "format" else v for v in filter.values}
    if value is None:
        return False
    return (filter.low is None or value >= filter.low) and (filter.high is None or value <= filter.high)


@lru_cache(maxsize=None)
def meant(query):
    """The places in MINE of the records that a query means, in any order."""
    filters = parse(pairs(query)).filters
    return [n for n, record in enumerate(MINE) if all(fits(record, filter) for filter in filters)]


def values_of(tags):
    return [(key, one) for key, value in tags.items() for one in (value if isinstance(value, list) else [value])]


def in_order(found, asked):
    """Sorted by id, then by the key: ties by id either way, nulls last either way."""
    field = {"samplerate": "sample_rate"}.get(asked.sort, asked.sort)
    found = sorted(found, key=lambda record: record["id"])
    known = sorted((r for r in found if r[field] is not None), key=lambda r: r[field], reverse=asked.descending)
    return known + [r for r in found if r[field] is None]


def ids_of(records):
    """The id of each record of a page: to read a hundred thousand of them whole takes longer than to find them."""
    found = re.findall('^{"id": ?"([^"]+)"', records, re.M)
    assert len(found) == records.count("\n") + bool(records)
    return found


def all_pages(pages, query, owner=0):
    """The id of every record that the pages of a query give, and the total that each page said."""
    found, totals, cursor = [], [], None
    while True:
        page = pages.page(parse(pairs(query) + ([("cursor", cursor)] if cursor else [])), owner)
        found += ids_of(page.records)
        totals.append((page.total, page.total_exact))
        cursor = page.next_cursor
        if cursor is None:
            return found, totals


FILTERS = [
    "", "format=wav", "format=rf64&format=mp3", "codec=flac", "samplerate=8000", "channels=2", "bits=24", "minbits=20",
    "maxbits=99", "bitrate=64000", "minbitrate=1", "maxbitrate=64000", "maxbitrate=999999",
    "minduration=2&maxduration=3",
    "maxduration=300", "duration=1.25", "minsize=18000", "size=0", "truncated=true", "truncated=false", "q=moon",
    "q=MOON light", "q=über", "q=strasse", "q=x", "q=雨", "q=bach&q=雨", "q=it's", "q=\"quoted\"", "q=50%",
    "q=stück moon",
    "name=*moon*", "name=?ight*", "name=moon*", "name=*[x]*", "name=*50%*", "name=*[!x]*", "name=*_*", "name=nothing",
    "name=*雨*", "name=*.wav", "name=m*n*0?.*", "name=*a*b*", "tag.artist=Bach", "tag.artist=Händel",
    "tag.artist=bach", "tag.artist=Bach&tag.artist=Händel",
    "tag.comment=" + "long " * 40, "meta.project=Über Stück", "meta.project=x", "sha256=" + "%064x" % 5,
    "format=wav&minduration=2&tag.artist=Bach", "q=moon&tag.artist=Bach",
    "format=flac&codec=flac&channels=1&minsize=5000", "q=moon&bits=16",
    "uploadedafter=2023-11-14T22:13:20.050Z&uploadedbefore=2023-11-14T22:13:20.060Z", "samplerate=8000&minduration=7",
    "format=nonsense", "minduration=5&maxduration=4",
]


@pytest.mark.parametrize("cap", [3, 10_000], ids=["walking", "gathering"])
@pytest.mark.parametrize("query", FILTERS)
def test_every_way_gives_what_the_filter_means_whole_and_in_order(catalogue, query, cap):
    pages = Pages(catalogue, 10.0, FAMILIES, cap)
    orders = [sign + key for key in listing.SORTS for sign in ("", "-")]
    asked, want = parse(pairs(query)), [MINE[n] for n in meant(query)]
    for n, sort in enumerate(orders[len(query) % 4::4]):  # a quarter of the orders for each of many filters
        limit = (7, 100, 1)[n % 3] if len(want) < 60 else (40, 300, 99)[n % 3]
        text = "&".join(filter(None, [query, f"sort={sort}", f"limit={limit}"]))
        found, totals = all_pages(pages, text)
        assert found == [r["id"] for r in in_order(want, parse(pairs(text)))], sort
        exact = len(want) <= cap or not asked.filters or len(totals) == 1
        assert all(total == (len(want) if is_exact else cap) for total, is_exact in totals), totals
        assert cap == 3 or exact and all(is_exact for _, is_exact in totals)


def test_an_owner_sees_and_counts_their_own_alone(catalogue):
    pages = Pages(catalogue, 10.0, FAMILIES)
    queries = "limit=10", "format=wav&limit=10", "q=moon&limit=5", "tag.artist=Bach&limit=3", "name=*moon*&limit=2"
    for query in queries:
        found, totals = all_pages(pages, query, owner=7)
        assert found and all(id.startswith("other") for id in found)
        assert set(totals) == {(len(found), True)}
    assert all_pages(pages, "", owner=99) == ([], [(0, True)])


WORDY = [query for query in FILTERS if "q=" in query or "name=*" in query]


@pytest.mark.parametrize("cap, query", [(10_000, query) for query in FILTERS] + [(3, query) for query in WORDY])
def test_everybodys_files_come_in_one_order_whoever_owns_them(catalogue, cap, query):
    pages = Pages(catalogue, 10.0, FAMILIES, cap)
    want = [MINE[n] for n in meant(query)]
    want += [{**MINE[n], "id": "other" + MINE[n]["id"]} for n in meant(query) if n < 50]
    orders = [sign + key for key in listing.SORTS for sign in ("", "-")]
    for n, sort in enumerate(orders[len(query) % 6::6]):
        text = "&".join(filter(None, [query, f"sort={sort}", f"limit={(7, 100)[n % 2] if len(want) < 60 else 90}"]))
        found, totals = all_pages(pages, text, owner=None)
        assert found == [r["id"] for r in in_order(want, parse(pairs(text)))], sort
        assert cap == 3 or set(totals) == {(len(want), True)}, sort


def test_a_total_over_all_owners_stops_at_the_cap(catalogue):
    pages = Pages(catalogue, 10.0, FAMILIES, 3)
    page = pages.page(parse(pairs("format=wav&limit=2")), None)
    assert (page.total, page.total_exact) == (3, False) and page.next_cursor
    assert pages.page(parse(pairs("limit=2")), None).total_exact, "the counters know it"


def test_fields_leave_only_themselves(catalogue):
    page = Pages(catalogue, 10.0, FAMILIES).page(parse(pairs("fields=size,id&limit=1000")), 0)
    found = json.loads("[" + page.records + "]")
    assert len(found) == len(MINE) and all(list(record) == ["id", "size"] for record in found)


def test_records_are_whole_json_one_a_line(catalogue):
    page = Pages(catalogue, 10.0, FAMILIES).page(parse(pairs("limit=1000")), 0)
    assert len(page.records.splitlines()) == len(MINE)
    assert [json.loads(line.rstrip(","))["id"] for line in page.records.splitlines()] == ids_of(page.records)


# -- the ways themselves --------------------------------------------------------------------------------------


BASE_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """Files over a dozen blocks of numbers, some put there out of order, others of somebody else between them."""
    one = Catalogue(tmp_path_factory.mktemp("apart") / "catalogue.db", SCHEMA, FileOps())
    rng, mine, writes = random.Random(8), [], []
    for n, record in enumerate(MINE):
        late = rng.choice([0, 0, 0, rng.randrange(30)])  # in milliseconds, as the clock was set back
        record = {**record, "sha256": "%064x" % max(0, n // 2 - late)}
        writes += [*adding(record, 0), *adding({**record, "id": "other" + record["id"]}, 7)]
        step = rng.choice([1, 1, 300])
        writes.append(("UPDATE files SET n = n + ?, search = search WHERE n = (SELECT max(n) FROM files)", (step,)))
        mine.append(record)
    one.write(writes)
    yield one, mine
    one.close()


def test_every_way_there_is_gives_the_same_page(apart):
    catalogue, mine = apart
    pages, rng, kinds = Pages(catalogue, 10.0, FAMILIES), random.Random(13), set()
    singles = [query for query in FILTERS if "&" not in query]
    queries = FILTERS + ["&".join(rng.sample(singles, k)) for k in (2, 2, 2, 3, 3) for _ in range(12)]
    for query in queries:
        try:
            asked = parse(pairs(query + "&limit=9").copy() if query else pairs("limit=9"))
        except Refusal:
            continue  # two of one parameter that is single
        want = in_order([record for record in mine if all(fits(record, f) for f in asked.filters)], asked)
        for begin in {0, min(9, len(want)), len(want) // 2}:
            here = asked
            if begin:
                last = want[begin - 1]
                here = asked._replace(after=(BASE_MS + int(last["sha256"], 16), last["id"]))
            for cost, sql, params in pages.ways(here, 0):
                ((text, count),) = catalogue.read(sql, params)
                found = ids_of(text or "")
                assert found == [record["id"] for record in want[begin:begin + 10]], (query, begin, sql)
                kinds.add("floor" if "floor" in sql else "sorted" if " g CROSS" in sql else "walked")
    assert kinds == {"floor", "sorted", "walked"}


PLANS = [
    # query, what the plan of one of its ways has, why
    ("", "files_by_uploaded_down (owner=?)", "the default order"),
    ("sort=-name", "files_by_name_with (owner=?)", "an order"),
    ("codec=flac&sort=name", "files_by_name_with (owner=?)", "who is skipped is not read"),
    ("name=moon*&sort=name", "files_by_name_with (owner=? AND name>? AND name<?)", "a range of its own order"),
    ("minduration=2&sort=-duration", "files_by_duration_down (owner=? AND duration>?)", "the same"),
    ("format=wav", "files_of_family (owner=? AND family=?)", "a value, newest first"),
    ("format=wav&format=mp3", "COVERING INDEX files_of_family (owner=? AND family=? AND uploaded_ms>?)", "two values"),
    ("minbits=20", "COVERING INDEX files_of_bits (owner=? AND bits=? AND uploaded_ms>?)", "the values in a range"),
    ("maxchannels=1", "COVERING INDEX files_of_channels (owner=? AND channels=? AND uploaded_ms>?)", "the same"),
    ("minduration=2", "files_in_blocks_by_duration (owner=? AND <expr>=? AND duration>?)", "block by block"),
    ("maxsize=9", "files_in_blocks_by_size (owner=? AND <expr>=? AND size<?)", "the same"),
    ("minsize=9&format=wav", "COVERING INDEX files_in_blocks_by_size (owner=? AND <expr>=? AND size>?)", "with another"),
    ("name=moon*", "files_in_blocks_by_name (owner=? AND <expr>=? AND name>? AND name<?)", "the beginning of a name"),
    ("q=moon", "VIRTUAL TABLE INDEX", "words, newest first"),
    ("name=*moon*", "VIRTUAL TABLE INDEX", "a part of a name"),
    ("sha256=" + "0" * 64, "files_of_sha256 (owner=? AND sha256=?)", "one content"),
    ("tag.artist=Bach", "PRIMARY KEY (owner=? AND label=? AND value=?)", "a tag, newest first"),
    ("uploadedafter=2020-01-01", "files_by_uploaded_down (owner=? AND uploaded_ms>?)", "a time"),
]


@pytest.mark.parametrize("query, wanted, why", PLANS)
def test_a_page_comes_by_the_index_that_is_there_for_it(apart, query, wanted, why):
    catalogue, _ = apart
    plans = []
    with closing(sqlite3.connect(str(catalogue.path))) as connection:
        for _, sql, params in Pages(catalogue, 10.0, FAMILIES).ways(parse(pairs(query)), 0):
            rows = connection.execute("EXPLAIN QUERY PLAN " + sql, params)
            plans.append("\n".join(row[3] for row in rows))
    assert any(wanted in plan for plan in plans) or "VIRTUAL" in wanted and not catalogue.has_trigrams, plans
    for plan in plans:
        assert not re.search(r"SCAN (?:TABLE )?(?:files|labels|f|l)\b", plan), plan


def test_new_and_removed_files_never_make_a_page_skip_or_repeat_one(tmp_path):
    catalogue = Catalogue(tmp_path / "catalogue.db", SCHEMA, FileOps())
    mine = list({record["id"]: record for record in records(60)}.values())
    late, mine = mine[:20], mine[20:]
    fill(catalogue, mine, 0)
    pages, rng = Pages(catalogue, 10.0, FAMILIES), random.Random(3)
    for sort in ("-uploaded", "duration", "-bitrate"):
        seen, cursor, gone = [], None, set()
        while True:
            page = pages.page(parse(pairs(f"sort={sort}&limit=5") + ([("cursor", cursor)] if cursor else [])), 0)
            seen += ids_of(page.records)
            cursor = page.next_cursor
            if cursor is None:
                break
            if late:
                fill(catalogue, [late.pop()], 0)
            gone.add(rng.choice(mine)["id"])
            catalogue.write([("DELETE FROM files WHERE id = ?", (id,)) for id in gone])
        assert len(seen) == len(set(seen))
        assert {record["id"] for record in mine} - gone <= set(seen)
        mine = [record for record in mine if record["id"] not in gone]
    catalogue.close()


def test_totals_are_never_older_than_the_last_commit(tmp_path):
    catalogue = Catalogue(tmp_path / "catalogue.db", SCHEMA, FileOps())
    pages = Pages(catalogue, 10.0, FAMILIES)
    for n, record in enumerate(list(records(12))):
        fill(catalogue, [{**record, "container": "wav", "id": str(n)}], 0)
        for query in ("limit=1", "format=wav&limit=1", "minduration=0&limit=1", "q=0&limit=1"):
            found = pages.page(parse(pairs(query)), 0)
            assert (found.total, found.total_exact) == (n + 1, True), query
    catalogue.close()


def test_names_are_kept_as_they_are_compared():
    assert all(unicodedata.is_normalized("NFC", word) for word in WORDS)


class Counted(Catalogue):
    """A catalogue that is on another machine, as far as the pages know, and counts round trips."""

    is_far = True
    trips = 0

    def read(self, sql, params=(), deadline_s=None):
        return self.read_all([(sql, params)], deadline_s)[0]

    def read_all(self, queries, deadline_s=None):
        self.trips += 1
        return [Catalogue.read(self, sql, params, deadline_s) for sql, params in queries]


@pytest.fixture(scope="module")
def shared_out(tmp_path_factory):
    """A far catalogue and a near one of the same files, half of which are one owner's, the rest of a hundred."""
    path = tmp_path_factory.mktemp("shared") / "catalogue.db"
    with closing(Counted(path, SCHEMA, FileOps())) as far, closing(Catalogue(path, SCHEMA, FileOps())) as near:
        mine = [dict(record) for record in MINE]
        for n, record in enumerate(mine):
            fill(far, [record], 1 if n % 2 else 2 + n % 100)
        yield far, near, mine


@pytest.mark.parametrize("query, trips, why", [
    ("limit=20", 1, "all walks merged over there"),
    ("limit=20&sort=name", 1, "the same in another order"),
    ("limit=3", 1, "a small page"),
    ("limit=1000", 1, "a page of all there are"),
    ("format=wav&limit=20", 1, "and how many there are"),
    ("format=wav&channels=1&minsize=1&limit=20&sort=-size", 2, "and the ways weighed, of all owners together"),
    ("minsize=2000&maxduration=9&limit=20", 2, "the same newest first, where there are more ways"),
])
def test_everybodys_page_costs_few_round_trips_however_many_own_it(shared_out, query, trips, why):
    far, near, mine = shared_out
    pages = Pages(far, 10.0, FAMILIES)
    found = []
    for once_more in (1, 0, None):  # the first of all has to ask who has files; ways that were weighed are remembered
        far.trips = 0
        found.append(pages.page(parse(pairs(query)), None))
        assert far.trips <= (1 if once_more is None else trips + once_more), why
    page = found.pop()
    assert found == [page, page]
    assert Pages(near, 10.0, FAMILIES).page(parse(pairs(query)), None) == page
    found, _ = all_pages(pages, query, owner=None)
    want = [mine[n] for n in meant(query)]
    assert found == [r["id"] for r in in_order(want, parse(pairs(query)))]


@pytest.mark.parametrize("query", FILTERS)
def test_everybodys_files_merged_over_there_come_in_the_same_order(shared_out, query):
    far, _, mine = shared_out
    pages, want = Pages(far, 10.0, FAMILIES), [mine[n] for n in meant(query)]
    orders = [sign + key for key in listing.SORTS for sign in ("", "-")]
    for n, sort in enumerate(orders[len(query) % 6::6]):
        text = "&".join(filter(None, [query, f"sort={sort}", f"limit={(7, 100)[n % 2] if len(want) < 60 else 90}"]))
        found, totals = all_pages(pages, text, owner=None)
        assert found == [r["id"] for r in in_order(want, parse(pairs(text)))], sort
        assert set(totals) == {(len(want), True)}, sort


def test_whoever_has_a_first_file_is_on_everybodys_page_at_once(tmp_path):
    with closing(Counted(tmp_path / "catalogue.db", SCHEMA, FileOps())) as far:
        pages, mine = Pages(far, 10.0, FAMILIES), [dict(record) for record in MINE]
        for owner in range(1, 250):  # more than one statement joins
            if owner in (1, 2, 3, 200, 249):
                assert pages.page(parse([]), None).total == owner - 1
            fill(far, [mine[owner]], owner)
        far.trips = 0
        assert pages.page(parse(pairs("limit=5")), None).total == 249
        assert far.trips == 2, "with the old ones, and again with the new one"
        assert pages.page(parse(pairs("limit=5")), None).total == 249 and far.trips == 3
        for _ in range(2):  # more numbers to weigh than are remembered
            pages.page(parse(pairs("minsize=1&minduration=0&sort=-size&limit=5")), None)
        assert far.trips <= 7
        found, _ = all_pages(pages, "limit=40", owner=None)
        assert found == [r["id"] for r in in_order(mine[1:250], parse([]))]
