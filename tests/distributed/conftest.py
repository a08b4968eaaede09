import pytest

from ..e2e.conftest import CommandLine
from ..processes.commands import Zygote

__all__ = ["CommandLine"]

MODULES = ("torch._dynamo", "torch.distributed.checkpoint", "torch.distributed.fsdp")


@pytest.fixture(scope="session")
def zygote():
    """Imports besides what ranks that share weights import: half of such a run's start, in every one of its ranks."""
    with Zygote(MODULES) as running:
        yield running


@pytest.fixture
def poke(tmp_path, zygote) -> CommandLine:
    """Of a run's ranks the others are forked, too: each start of one takes as long as all that it then learns."""
    return CommandLine(tmp_path, zygote, zygote.forks_on)


@pytest.fixture(scope="session")
def session_poke(tmp_path_factory, zygote) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("ranks"), zygote)


@pytest.fixture
def anew(tmp_path) -> CommandLine:
    return CommandLine(tmp_path)
