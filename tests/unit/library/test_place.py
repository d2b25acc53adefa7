"""Who calls is read off the stack."""

import runpy
import sys
from pathlib import Path

import pytest

from dragoman.library.failures import CallError
from dragoman.library.place import Place, detect, first_of, json_folder, place_of, recognised

pytestmark = pytest.mark.req("R-CFG-003")

SHOWS = "import sys\nfrom dragoman.library.place import detect\nfound = detect(sys._getframe())\n"


def called_from(file, text=SHOWS):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return runpy.run_path(str(file))["found"]


@pytest.mark.parametrize(
    ("file", "name", "folder"),
    [
        ("flow/flow_mbank.py", "flow_mbank", "flow/flow_json"),
        ("prax/prax_logger.py", "prax_logger", "prax/prax_json"),
        ("flow/inner/deep.py", "deep", "flow/flow_json"),
        (
            "skills/skills_chat/live_chat_context_skill.py",
            "live_chat_context",
            "skills/skills_chat/skills_chat_json",
        ),
        ("tools/report.py", "report", "tools/tools_json"),
        ("tools/__main__.py", "tools", "tools/tools_json"),
    ],
)
def test_a_file_is_a_caller_and_its_folder_holds_its_json(tmp_path, file, name, folder):
    assert called_from(tmp_path / file) == Place(name, tmp_path / folder)


def test_a_recognised_file_further_out_goes_before_one_that_is_nearer(tmp_path):
    near = tmp_path / "lib" / "near.py"
    near.parent.mkdir()
    near.write_text(
        "import sys\nfrom dragoman.library.place import detect\ndef who():\n    return detect(sys._getframe())\n"
    )
    text = f"import runpy\nfound = runpy.run_path({str(near)!r})['who']()\n"
    assert called_from(tmp_path / "flow" / "flow_mbank.py", text).name == "flow_mbank"


def test_installed_packages_and_this_package_are_nobody(tmp_path):
    found = called_from(tmp_path / "site-packages" / "thing" / "module.py")
    # What called it is the test itself, for pytest is installed.
    assert found == Place("test_place", json_folder(Path(__file__).resolve().parent))


def test_a_shell_is_nobody_and_says_so(tmp_path):
    scope = {"__name__": "shell"}
    exec(compile("import sys\nframe = sys._getframe()", "<stdin>", "exec"), scope)
    frame = scope["frame"]
    while frame is not None and frame.f_code.co_filename == "<stdin>":
        frame = None  # nobody is behind a shell
    assert detect(frame) is None
    with pytest.raises(CallError, match="caller cannot be found") as refused:
        _nobody(lambda: place_of(None, tmp_path))
    assert refused.value.code == "no_caller"


def _nobody(work):
    """Runs ``work`` where no file of a program's own is on the stack."""
    import threading

    caught = []

    def run():
        try:
            work()
        except CallError as error:
            caught.append(error)

    outside = compile("def go(run):\n    run()\n", "<string>", "exec")
    scope = {}
    exec(outside, scope)
    # Code without a file, in a thread of its own: the frames of this file are taken off by name.
    run.__code__ = run.__code__.replace(co_filename="<string>")
    thread = threading.Thread(target=scope["go"], args=(run,))
    work.__code__ = work.__code__.replace(co_filename="<string>")
    thread.start()
    thread.join()
    raise caught[0]


def test_a_name_that_is_said_goes_before_the_stack(tmp_path):
    found = place_of("orchestrator->skill1->skill2", tmp_path, sys._getframe())
    assert found == Place(
        "orchestrator->skill1->skill2", json_folder(Path(__file__).resolve().parent)
    )
    assert first_of(found.name) == "orchestrator"
    assert place_of("x", tmp_path, sys._getframe(), tmp_path / "own").folder == tmp_path / "own"
    with pytest.raises(CallError, match="caller is empty"):
        place_of(" ", tmp_path)


def test_a_name_without_a_file_lives_at_home_and_stays_there(tmp_path):
    found = []
    with pytest.raises(IndexError):
        _nobody(lambda: found.append(place_of("../../etc/passwd", tmp_path)))
    assert found[0].folder.resolve().is_relative_to(tmp_path)


def test_only_the_folders_that_are_said_are_recognised():
    assert recognised(Path("/srv/app/flows/x.py")) is None
    assert recognised(Path("/srv/skills/other/x.py")) is None
