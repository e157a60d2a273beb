"""A package to read: sources written into a folder, as an interpreter would find them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dw_lsp.catalog.catalog import Catalog
from dw_lsp.catalog.environment import Environment
from dw_lsp.catalog.store import Store

MODULAR = '''
class Blocks(SequentialPipelineBlocks):
    """
    All blocks.

      Components:
          vae (`AutoencoderKL`)

      Inputs:
          prompt (`None`, *optional*):
              What is drawn.
          steps (`int`, *optional*, defaults to 50):
              How many.

      Outputs:
          images (`list`):
              Pictures.
    """


class BlockPipeline(ModularPipeline):
    default_blocks_name = "Blocks"


class SpecialBlockPipeline(BlockPipeline):
    """Special."""
'''
INITIALIZER = """
from typing import TYPE_CHECKING

_import_structure = {"models": [], "pipelines": ["FirstPipeline"], "utils": ["logging"]}

try:
    if not (is_torch_available() and is_sentencepiece_available()):
        raise OptionalDependencyNotAvailable()
except OptionalDependencyNotAvailable:
    _import_structure["utils.dummy_objects"] = []
else:
    _import_structure["pipelines"].extend(["NeedyPipeline"])

_import_structure["modular"] = ["BlockPipeline", "SpecialBlockPipeline"]
_import_structure["schedulers"] = ["SlowScheduler"]
_import_structure["models"].append("SmallModel")

if TYPE_CHECKING:
    from .pipelines import Nothing
"""
PIPELINES = '''
"""Pipelines."""

class DiffusionPipeline(ConfigMixin):
    pass


class FirstPipeline(
    DiffusionPipeline,  # the loader
    SomeMixin[int],
):
    r"""
    Draws pictures.

    In two lines.

    Args:
        vae ([`AutoencoderKL`]): Decodes latents.
    """

    def __init__(self, vae: "AutoencoderKL", scheduler=None):
        super().__init__()

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str] = None,
        steps: int = 50,
        *,
        strength: float,
        **kwargs,
    ):
        r"""
        The call.

        Args:
            prompt (`str` or `list[str]`, *optional*):
                What is drawn,
                in words.
            steps (`int`): How many.
            eta (`float`, *optional*): Passed on.

        Returns:
            pictures: a list
        """
        callback = kwargs.pop("callback", None)
        return callback


class SecondPipeline(FirstPipeline):
    def __call__(self, width: int = 512, **kwargs):
        return super().__call__(**kwargs)


class NeedyPipeline(FirstPipeline):
    pass
'''
SCHEDULERS = '''
from dataclasses import dataclass

class SlowScheduler(SchedulerMixin, ConfigMixin):
    @register_to_config
    def __init__(self, beta: float = 0.1):
        pass


@dataclass
class Reference:
    """A reference.

    Attributes:
        image (`Image`): The picture.
    """

    image: Image
    rate: int | None = None
    KIND: ClassVar[str] = "image"
'''


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a small package named diffusers in it, and an empty torch."""
    package = tmp_path / "site" / "diffusers"
    for name, text in {
        "__init__.py": INITIALIZER,
        "pipelines.py": PIPELINES,
        "schedulers/__init__.py": "from .slow import *\n",
        "schedulers/slow.py": SCHEDULERS,
        "modular/blocks.py": MODULAR,
        "models/small.py": "class SmallModel(ModelMixin):\n    pass\n",
        "utils/dummy_objects.py": "class FirstPipeline(metaclass=Dummy):\n    pass\n",
    }.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (tmp_path / "site" / "diffusers-9.1.dist-info").mkdir()
    (tmp_path / "site" / "torch").mkdir()
    (tmp_path / "site" / "torch" / "__init__.py").write_text("def compile(): ...\n")
    return tmp_path / "site"


@pytest.fixture
def catalog(site: Path, tmp_path: Path) -> Catalog:
    """The catalogue of that folder."""
    return Catalog(Environment("python", (site,)), Store(tmp_path / "kept"))


@pytest.fixture
def again(site: Path, tmp_path: Path) -> Callable[[], Catalog]:
    """Gives the catalogue as the next start of the program has it."""
    return lambda: Catalog(Environment("python", (site,)), Store(tmp_path / "kept"))
