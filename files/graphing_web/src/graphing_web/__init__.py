"""The parts of this project in graphite-web, on its Python and its Django (3.2 in Debian 12, 4.2 in Debian 13).

`guard` and `failures` are middlewares, `functions` is a plugin of functions, `gunicorn_conf` has settings of the server
that runs it all; `fixture` brings the database to what is declared. It imports the standard library, Django and
graphite-web alone.
"""
