"""What torch is and finds; where it is broken, by a torch of these tests' own."""

import os

import pytest
import torch

from poke.run.examining import probing

WHOLE = {"version": "2.13.0+cpu", "cuda": None, "threads": 2, "imported": True, "devices": []}


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Returns what writes a module that is found before the installed one."""
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), before))))
    return lambda name, text: (tmp_path / f"{name}.py").write_text(text)


def test_a_torch_in_order():
    found = probing.probe()
    assert "error" not in found
    assert found["version"] == torch.__version__
    assert probing.look_at_torch(found).status == "ok"
    assert probing.look_at_imports(found).status == "ok"
    assert probing.look_at_gpu(found).status == ("ok" if torch.cuda.is_available() else "missing")
    assert f"torch would take {found['threads']}" in probing.look_at_cores(found).text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("raise ImportError('libfoo.so: cannot open')", "ImportError: libfoo.so: cannot open"),
        ("import os; os.abort()", "the process that imports it was ended by signal 6"),
        ("import sys; sys.exit(3)", "exit status 3"),
        ("pass", "AttributeError: module 'torch' has no attribute '__version__'"),
    ],
)
def test_a_torch_that_cannot_be_imported(fake, source, text):
    fake("torch", source)
    found = probing.probe()
    told = probing.look_at_torch(found)
    assert (told.status, told.needed) == ("broken", True)
    assert told.text.startswith(text)
    assert told.advice.startswith("pip install 'torch==")
    assert probing.look_at_imports(found).status == "broken"
    assert probing.look_at_gpu(found).status == "missing"
    assert probing.look_at_cores(found).status == "ok"


def test_another_package_that_cannot_be_imported(fake):
    fake("omegaconf", "raise ImportError('no letters')")
    found = probing.probe()
    assert probing.look_at_torch(found).status == "ok"
    told = probing.look_at_imports(found)
    assert (told.status, told.text, told.needed) == ("broken", "ImportError: no letters", True)


def test_a_torch_that_poke_is_not_made_for(monkeypatch):
    monkeypatch.setattr(probing, "torch_wanted", lambda: "==2.13.0")
    assert probing.look_at_torch(WHOLE).status == "ok"
    found = probing.look_at_torch({**WHOLE, "version": "2.9.1+cu130"})
    assert (found.status, found.needed) == ("broken", True)
    assert found.advice == "pip install 'torch==2.13.0'"


def test_gpus():
    named = probing.look_at_gpu({**WHOLE, "cuda": "13.0", "devices": ["H200", "H200"]})
    assert (named.status, named.text) == ("ok", "H200, H200")
    none = probing.look_at_gpu({**WHOLE, "cuda": "13.0"})
    assert (none.status, none.needed) == ("missing", False)
    assert "Choosing another torch" in probing.look_at_gpu(WHOLE).advice
    told = {key: value for key, value in WHOLE.items() if key != "devices"}
    broken = probing.look_at_gpu({**told, "error": "AcceleratorError: no kernel image"})
    assert (broken.status, broken.needed) == ("broken", True)  # device=auto would take it
    assert "device=cpu" in broken.advice
