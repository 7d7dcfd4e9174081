"""gunicorn for the threaded baselines, with the C extension of the MySQL driver: a third cheaper than pure Python.

The extension contains its own OpenSSL. It cannot be loaded once gunicorn or another module has loaded the system's, so
it is imported first. If it does not load, the driver uses pure Python; the results name the driver that was used.
"""

import contextlib

with contextlib.suppress(ImportError):
    import _mysql_connector  # type: ignore[import-not-found,unused-ignore] # noqa: F401 loaded for its effect

from gunicorn.app.wsgiapp import run

run()
