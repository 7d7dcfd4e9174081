"""gunicorn for the threaded baselines, which get the driver's C extension: a third cheaper than pure Python.

The extension brings its own OpenSSL and loads only before anything, gunicorn included, has loaded the system's. Where
it does not load, the driver falls back to pure Python by itself; the result names the driver that was used.
"""

import contextlib

with contextlib.suppress(ImportError):
    import _mysql_connector  # type: ignore[import-not-found,unused-ignore] # noqa: F401 loaded for its effect

from gunicorn.app.wsgiapp import run

run()
