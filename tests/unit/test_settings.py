"""Settings: from the environment, in one place, and one clear line where one is wrong."""

from pathlib import Path

import pytest

from chatwren.settings import CannotStart, Settings, load_settings, variable


@pytest.fixture(autouse=True)
def empty_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_every_setting_has_a_meaning_and_a_default() -> None:
    load_settings()
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_the_environment_goes_before_the_file_and_options_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("CHATWREN_PORT=1\nCHATWREN_SANDBOX_PORT=2\nDATABASE_URL=postgresql://file/x\n")
    monkeypatch.setenv("CHATWREN_PORT", "3")
    settings = load_settings(sandbox_port=4)
    assert (settings.port, settings.sandbox_port, settings.database_url) == (3, 4, "postgresql://file/x")


def test_empty_means_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("CHATWREN_PORT", "")
    assert load_settings().database_url is None
    assert load_settings().port == 8000


def test_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATWREN_ALLOWED_ORIGINS", "https://a.example, https://b.example,")
    assert load_settings().allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("CHATWREN_PORT", "eighty", "CHATWREN_PORT is not usable: Input should be a valid integer"),
        ("CHATWREN_PORT", "70000", "CHATWREN_PORT is not usable: Input should be less than or equal to 65535"),
        ("CHATWREN_TIMEZONE", "Asia/Nowhere", "CHATWREN_TIMEZONE is not usable: 'Asia/Nowhere' is no time zone name"),
        ("CHATWREN_QR_CODE_URL", "https://x.example/", "CHATWREN_QR_CODE_URL is not usable: must contain {data}"),
        ("CHATWREN_WHATSAPP_ROOT_KEY", "abc", "CHATWREN_WHATSAPP_ROOT_KEY is not usable: String should match pattern"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart) as caught:
        load_settings()
    assert caught.value.message.startswith(line)
    assert "\n" not in caught.value.message


def test_two_data_directories_are_two_instances_and_one_by_two_names_is_one(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    one, link, two = (Settings(data_dir=tmp_path / name) for name in ("one", "link", "two"))
    assert one.instance_id == link.instance_id != two.instance_id
