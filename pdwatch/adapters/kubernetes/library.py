"""The parts of kubernetes_asyncio that pdwatch uses, without the rest of it.

The package's ``__init__`` imports a typed model of every kind of object: 900 modules, 0.5 s and 36 MB, none
of which credentials need. So its two outer packages are stood in for while the parts are imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from pdwatch.adapters.kubernetes.plugin import ending_with_its_time

_PACKAGE = "kubernetes_asyncio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Names of kubernetes_asyncio."""

    Configuration: Any
    KubeConfigMerger: Any
    KubeConfigLoader: Any
    load_incluster_config: Any


@cache
def library() -> Library:
    """Import the parts on first use."""
    if _PACKAGE in sys.modules:
        return _import_parts()
    try:
        return _import_parts_alone()
    except ImportError:  # another version may need more of itself: it gets all
        return _import_parts()


def _import_parts() -> Library:
    configuration = importlib.import_module(f"{_PACKAGE}.client.configuration")
    kube_config = importlib.import_module(f"{_PACKAGE}.config.kube_config")
    exception = importlib.import_module(f"{_PACKAGE}.config.config_exception").ConfigException
    vars(kube_config).update(ExecProvider=ending_with_its_time(kube_config.ExecProvider, exception))
    incluster_config = importlib.import_module(f"{_PACKAGE}.config.incluster_config")
    return Library(
        Configuration=configuration.Configuration,
        KubeConfigMerger=kube_config.KubeConfigMerger,
        KubeConfigLoader=kube_config.KubeConfigLoader,
        load_incluster_config=incluster_config.load_incluster_config,
    )


def _import_parts_alone() -> Library:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.submodule_search_locations is None:
        raise ImportError(f"{_PACKAGE} is not installed")
    package, client = ModuleType(_PACKAGE), ModuleType(f"{_PACKAGE}.client")
    package.__path__ = list(found.submodule_search_locations)
    client.__path__ = [f"{path}/client" for path in package.__path__]
    try:
        sys.modules |= {package.__name__: package, client.__name__: client}
        configuration = importlib.import_module(f"{_PACKAGE}.client.configuration")
        vars(client).update(Configuration=configuration.Configuration, ApiClient=object)
        return _import_parts()
    finally:
        # Whoever imports the package later gets the real one.
        for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
            del sys.modules[name]
