"""The page that runs a model in a browser, in Chromium without a window.

It needs the package playwright, Chromium, and a copy of onnxruntime-web's ``dist``
folder, which ``ONNXRUNTIME_WEB`` names: ``npm pack onnxruntime-web``.
"""

import functools
import http.server
import os
import shutil
import threading

import numpy as np
import pytest

pytest.importorskip("onnx", reason="it is not installed: pip install minifer[onnx]")
playwright = pytest.importorskip("playwright.sync_api", reason="it is not installed")

from helpers import runs  # noqa: E402
from minifer import layers, models  # noqa: E402
from minifer.faces.images import write_png  # noqa: E402
from minifer.faces.preprocessing import Preprocessing  # noqa: E402
from minifer.foreign import write_onnx  # noqa: E402

BROWSER, LIBRARY = shutil.which("chromium"), os.environ.get("ONNXRUNTIME_WEB")
PAGE = runs.TESTS.parent / "examples" / "browser" / "classify.html"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def page(tmp_path):
    if not (BROWSER and LIBRARY):
        pytest.skip("there is no chromium, or ONNXRUNTIME_WEB is not set")
    model = models.pretrained()
    write_onnx(tmp_path / "model.onnx", model, preprocessing=True)
    write_onnx(tmp_path / "numbers.onnx", model)
    shutil.copy(PAGE, tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(
        Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.route("https://cdn.jsdelivr.net/**", lambda route: route.fulfill(
            path=os.path.join(LIBRARY, route.request.url.rpartition("/")[2])))
        opened.goto(f"http://127.0.0.1:{server.server_port}/classify.html")
        yield opened
        browser.close()
    server.shutdown()
    server.server_close()


def test_the_page_says_what_minifer_says(page, tmp_path):
    face = np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)
    write_png(tmp_path / "face.png", face)
    page.wait_for_function("!document.getElementById('picture').disabled")
    page.set_input_files("#picture", tmp_path / "face.png")
    page.wait_for_function("window.saturations")
    model = models.pretrained()
    steps = Preprocessing.from_dict(model.preprocessing)
    expected, = layers.get_output(model.network, steps(face[None, None]),
                                  deterministic=True)
    np.testing.assert_allclose(page.evaluate("window.saturations"), expected, atol=1e-5)
    assert page.inner_text("#said") == (
        f"face.png: {model.classes[expected.argmax()]}")


@pytest.mark.parametrize("name", ["numbers.onnx", "classify.html"])
def test_what_is_no_such_model_is_told(page, tmp_path, name):
    page.wait_for_function("!document.getElementById('picture').disabled")
    page.set_input_files("#file", tmp_path / name)
    page.wait_for_function(f"document.getElementById('said').textContent.startsWith("
                           f"'{name}: ') && !document.getElementById('said')"
                           ".textContent.includes('expressions')")
