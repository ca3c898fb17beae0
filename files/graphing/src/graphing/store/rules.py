"""What carbon's storage rules say of a series: /etc/carbon/storage-schemas.conf and storage-aggregation.conf.

The first section whose pattern is found in the name decides, each file for its part (carbon.storage).
"""

import configparser
import re
from pathlib import Path
from typing import Any, NamedTuple

from graphing.store import StoreError
from graphing.whisperfile.layout import Archive, Layout
from graphing.whisperfile.library import whisper

# What carbon falls back to (carbon.storage, whisper.create).
_ARCHIVES = (Archive(60, 7 * 24 * 60),)
_METHOD, _FACTOR = "average", 0.5


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    value: Any
    """What the section says: archives, or a method and a factor."""


class StorageRules:
    """The rules of one directory of configuration. Raises StoreError for what carbon would refuse."""

    def __init__(self, folder: Path) -> None:
        self._schemas = _rules(folder / "storage-schemas.conf", _archives)
        self._aggregation = _rules(folder / "storage-aggregation.conf", _method_and_factor)

    def layout(self, name: str) -> Layout:
        """The layout that carbon would create the series with now."""
        archives = next((rule.value for rule in self._schemas if rule.pattern.search(name)), _ARCHIVES)
        method, factor = next(
            (rule.value for rule in self._aggregation if rule.pattern.search(name)), (_METHOD, _FACTOR)
        )
        return Layout(archives, method, factor)


def _rules(path: Path, read: Any) -> list[_Rule]:
    parser = configparser.ConfigParser()  # as carbon's: %% is a %
    try:
        with path.open(encoding="utf-8") as lines:
            parser.read_file(lines)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; run playbooks/site.yml, which writes it") from error
    except (configparser.Error, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: {' '.join(str(error).split())}") from error
    rules = []
    for section in parser.sections():
        options = parser[section]
        try:
            value = read(options)
            if value is not None and options.get("pattern"):
                rules.append(_Rule(re.compile(options["pattern"]), value))
        except (ValueError, re.error, configparser.Error, whisper.InvalidConfiguration) as error:
            raise StoreError(f"{path}: [{section}]: {error}") from error
    return rules


def _archives(options: configparser.SectionProxy) -> tuple[Archive, ...] | None:
    if "retentions" not in options:
        return None
    pairs = [whisper.parseRetentionDef(part) for part in options["retentions"].split(",")]
    whisper.validateArchiveList(pairs)
    return tuple(Archive(*pair) for pair in pairs)


def _method_and_factor(options: configparser.SectionProxy) -> tuple[str, float]:
    method = options.get("aggregationmethod", _METHOD)
    if method not in whisper.aggregationMethods:
        raise ValueError(f"aggregationMethod {method!r} is not one of {', '.join(whisper.aggregationMethods)}")
    factor = float(options.get("xfilesfactor", str(_FACTOR)))
    if not 0 <= factor <= 1:
        raise ValueError(f"xFilesFactor {factor} is not between 0 and 1")
    return method, factor
