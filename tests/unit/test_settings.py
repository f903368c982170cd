"""Settings: from the environment, in one place, and one clear line where one is wrong."""

from pathlib import Path

import pytest

from chatwren.settings import CannotStart, Settings, doubts, option, variable


@pytest.fixture(autouse=True)
def empty_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_every_setting_has_a_meaning_and_a_default() -> None:
    Settings()
    for name, field in Settings.fields.items():
        assert field.description, name


def test_the_environment_goes_before_the_file_and_options_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("CHATWREN_PORT=1\nCHATWREN_SANDBOX_PORT=2\nDATABASE_URL=postgresql://file/x\n")
    monkeypatch.setenv("CHATWREN_PORT", "3")
    settings = Settings(sandbox_port=4)
    assert (settings.port, settings.sandbox_port, settings.database_url) == (3, 4, "postgresql://file/x")


def test_empty_means_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("CHATWREN_PORT", "")
    assert Settings().database_url is None
    assert Settings().port == 8000


@pytest.mark.parametrize(("said", "meant"), [("TRUE", True), ("1", True), ("yes", True), ("off", False), ("0", False)])
def test_yes_and_no_have_many_words(monkeypatch: pytest.MonkeyPatch, said: str, *, meant: bool) -> None:
    monkeypatch.setenv("CHATWREN_SANDBOX", said)
    assert Settings().sandbox is meant


def test_names_count_in_any_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("chatwren_port", "1")
    (tmp_path / ".env").write_text("chatwren_sandbox_port=2\n")
    assert (Settings().port, Settings().sandbox_port) == (1, 2)


def test_what_is_no_setting_is_no_argument_either() -> None:
    with pytest.raises(TypeError, match="no_such"):
        Settings(no_such=1)


def test_a_copy_has_other_values_and_the_rest() -> None:
    settings = Settings(port=1, sandbox_port=2)
    assert settings.expire_after
    changed = settings.changed(port=3, expire_after_hours=1)
    assert (changed.port, changed.sandbox_port, changed.expire_after.total_seconds()) == (3, 2, 3600)
    assert (settings.port, settings.chosen) == (1, changed.chosen)
    with pytest.raises(AttributeError):
        settings.port = 4


def test_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATWREN_ALLOWED_ORIGINS", "https://a.example, https://b.example,")
    assert Settings().allowed_origins == ("https://a.example", "https://b.example")


def test_origins_are_written_as_browsers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    given = "HTTPS://A.example:443/, http://localhost:80, http://localhost:5173, capacitor://localhost, http://[::1]:81"
    monkeypatch.setenv("CHATWREN_ALLOWED_ORIGINS", given)
    assert Settings().allowed_origins == (
        *("https://a.example", "http://localhost", "http://localhost:5173", "capacitor://localhost", "http://[::1]:81"),
    )


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("CHATWREN_PUBLICURL", "https://wa.test", "did you mean CHATWREN_PUBLIC_URL?"),
        ("CHATWREN_TRUSTED_PROXY", "10.0.0.1", "did you mean CHATWREN_TRUSTED_PROXIES?"),
        ("CHATWREN_ALLOWED_ORIGIN", "https://a.test", "did you mean CHATWREN_ALLOWED_ORIGINS?"),
        ("CHATWREN_DATABASE_URL", "postgresql://x", "did you mean DATABASE_URL?"),
        ("CHATWERN_PORT", "1", "did you mean CHATWREN_PORT?"),
        ("CHATWREN_ZZZZ", "1", "(`chatwren settings` lists them)"),
    ],
)
def test_a_misspelt_variable_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, meant: str
) -> None:
    assert [*doubts(Settings())] == []
    monkeypatch.setenv(name, value)
    (doubt,) = doubts(Settings())
    assert doubt.startswith(f"{name} is no setting of Chatwren")
    assert meant in doubt
    monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"{name}={value}\n")
    assert [*doubts(Settings())] == [doubt]


def test_in_the_file_a_name_without_its_beginning_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://of-another.test")
    assert [*doubts(Settings())] == []
    (tmp_path / ".env").write_text("PUBLIC_URL=wa.test\nPOSTGRES_PASSWORD=x\nCHATWREN_PORT=1\n")
    (doubt,) = doubts(Settings())
    assert doubt == "PUBLIC_URL is no setting of Chatwren: did you mean CHATWREN_PUBLIC_URL?"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"CHATWREN_TRUSTED_PROXIES": "10.0.0.1"}, "CHATWREN_PUBLIC_URL is not set"),
        ({"CHATWREN_HOST": "0.0.0.0"}, "CHATWREN_PUBLIC_URL is not set"),  # noqa: S104 - not listened on
        ({"CHATWREN_COOKIE_SECRETS": "hunter2"}, "CHATWREN_COOKIE_SECRETS"),
        ({"CHATWREN_COOKIE_SAMESITE": "none", "CHATWREN_PUBLIC_URL": "http://wa.test"}, "CHATWREN_COOKIE_SAMESITE"),
    ],
)
def test_settings_that_do_not_fit_together_are_told_of(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    (doubt,) = doubts(Settings())
    assert named in doubt
    assert "hunter2" not in doubt


def test_a_hint_has_the_words_of_the_command_that_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert option("data_dir") == "--data-dir (CHATWREN_DATA_DIR)"
    monkeypatch.setenv("CHATWREN_TYPED", "make run")
    assert option("data_dir") == "`make run DATA_DIR=...`"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("CHATWREN_PORT", "eighty", "CHATWREN_PORT is not usable: must be a whole number from 0 to 65535."),
        ("CHATWREN_PORT", "70000", "CHATWREN_PORT is not usable: must be a whole number from 0 to 65535."),
        ("CHATWREN_PORT", "1e3", "CHATWREN_PORT is not usable: must be a whole number from 0 to 65535."),
        ("CHATWREN_MAX_RESENDS", "0", "CHATWREN_MAX_RESENDS is not usable: must be a whole number of at least 1."),
        ("CHATWREN_LEASE_SECONDS", "0", "CHATWREN_LEASE_SECONDS is not usable: must be a number greater than 0."),
        ("CHATWREN_LEASE_SECONDS", "nan", "CHATWREN_LEASE_SECONDS is not usable: must be a number greater than 0."),
        ("CHATWREN_LEASE_SECONDS", "inf", "CHATWREN_LEASE_SECONDS is not usable: must be a number greater than 0."),
        ("CHATWREN_DRAIN_SECONDS", "601", "CHATWREN_DRAIN_SECONDS is not usable: must be a number from 0 to 600."),
        ("CHATWREN_SANDBOX", "maybe", "CHATWREN_SANDBOX is not usable: must be true or false."),
        ("CHATWREN_LOG_LEVEL", "all", "CHATWREN_LOG_LEVEL is not usable: must be one of debug, info, warning, error."),
        ("CHATWREN_TIMEZONE", "Asia/Nowhere", "CHATWREN_TIMEZONE is not usable: 'Asia/Nowhere' is no time zone name"),
        ("CHATWREN_QR_CODE_URL", "https://x.example/", "CHATWREN_QR_CODE_URL is not usable: must contain {data}"),
        ("CHATWREN_PUBLIC_URL", "wa.test", "CHATWREN_PUBLIC_URL is not usable: 'wa.test' is no URL"),
        ("CHATWREN_PUBLIC_URL", "wa.test:8000", "CHATWREN_PUBLIC_URL is not usable: 'wa.test:8000' is no URL"),
        ("CHATWREN_PUBLIC_URL", "//wa.test", "CHATWREN_PUBLIC_URL is not usable: '//wa.test' is no URL"),
        ("CHATWREN_PUBLIC_URL", "ftp://wa.test", "CHATWREN_PUBLIC_URL is not usable: 'ftp://wa.test' is no URL"),
        ("CHATWREN_PUBLIC_URL", "https://", "CHATWREN_PUBLIC_URL is not usable: 'https://' is no URL"),
        ("CHATWREN_PUBLIC_URL", "https:/wa.test", "CHATWREN_PUBLIC_URL is not usable: 'https:/wa.test' is no URL"),
        (
            "CHATWREN_PUBLIC_URL",
            "https://wa.test:x",
            "CHATWREN_PUBLIC_URL is not usable: 'https://wa.test:x' is no URL",
        ),
        ("CHATWREN_QR_CODE_URL", "qr.test/{data}", "CHATWREN_QR_CODE_URL is not usable: 'qr.test/{data}' is no URL"),
        ("CHATWREN_WHATSAPP_PROXY", "proxy:3128", "CHATWREN_WHATSAPP_PROXY is not usable: 'proxy:3128' is no URL"),
        ("CHATWREN_WHATSAPP_PROXY", "alice:hunter2@proxy", "CHATWREN_WHATSAPP_PROXY is not usable: this is no URL"),
        ("CHATWREN_WHATSAPP_ADDRESS", "wa.test", "CHATWREN_WHATSAPP_ADDRESS is not usable: must be host:port"),
        ("CHATWREN_ALLOWED_ORIGINS", "app.test", "CHATWREN_ALLOWED_ORIGINS is not usable: 'app.test' is no origin"),
        ("CHATWREN_ALLOWED_ORIGINS", "*", "CHATWREN_ALLOWED_ORIGINS is not usable: '*' is no origin"),
        ("CHATWREN_ALLOWED_ORIGINS", "null", "CHATWREN_ALLOWED_ORIGINS is not usable: 'null' is no origin"),
        (
            "CHATWREN_ALLOWED_ORIGINS",
            "https://a.test,https://*.b.test",
            "CHATWREN_ALLOWED_ORIGINS is not usable: 'https://*.b.test' is no origin",
        ),
        (
            "CHATWREN_ALLOWED_ORIGINS",
            "https://a.test/app",
            "CHATWREN_ALLOWED_ORIGINS is not usable: 'https://a.test/app' is no origin",
        ),
        (
            "CHATWREN_TRUSTED_PROXIES",
            "10.0.0.0/33",
            "CHATWREN_TRUSTED_PROXIES is not usable: '10.0.0.0/33' is no address",
        ),
        ("CHATWREN_TRUSTED_PROXIES", "proxy", "CHATWREN_TRUSTED_PROXIES is not usable: 'proxy' is no address"),
        ("CHATWREN_MEDIA_URL", "https://bucket.test/x", "CHATWREN_MEDIA_URL is not usable: must be a folder"),
        ("CHATWREN_MEDIA_URL", "s3:bucket", "CHATWREN_MEDIA_URL is not usable: must be a folder"),
        ("CHATWREN_LEASE_SECONDS", "1", "CHATWREN_HEARTBEAT_SECONDS must be less than CHATWREN_LEASE_SECONDS"),
        (
            "CHATWREN_WHATSAPP_ROOT_KEY",
            "abc",
            "CHATWREN_WHATSAPP_ROOT_KEY is not usable: must be 64 hexadecimal digits.",
        ),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart) as caught:
        Settings()
    assert caught.value.message.startswith(line)
    assert "hunter2" not in caught.value.message
    assert "\n" not in caught.value.message


def test_two_data_directories_are_two_instances_and_one_by_two_names_is_one(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    one, link, two = (Settings(data_dir=tmp_path / name) for name in ("one", "link", "two"))
    assert one.instance_id == link.instance_id != two.instance_id
