"""The README's picture: the top of a run's report, drawn by a headless Chromium.

`python docs/building/report_picture.py runs/digits docs/pictures/report.png`, after `make quickstart`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT, SCALE, COLOURS = 1180, 1030, 1.25, 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    arguments = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("error: there is no Chromium on this machine\nhint: on Debian and Ubuntu, apt install chromium")
    page = (arguments.run / "report.html").resolve(strict=True)
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "report.png"
        # Chromium's sandbox does not start as root, which containers are.
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--force-device-scale-factor={SCALE}"]
        options += [f"--window-size={WIDTH},{HEIGHT}", f"--user-data-dir={folder}/profile", f"--screenshot={drawn}"]
        subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True, timeout=120)
        with Image.open(drawn) as picture:
            picture.convert("RGB").quantize(COLOURS).save(arguments.picture, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
