"""Debian's Chromium, and how tests start it: without the network, the graphics card and a sandbox that CI lacks."""

from __future__ import annotations

import shutil

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
