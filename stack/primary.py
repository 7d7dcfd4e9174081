"""`python -m stack.primary operator.env`: the primary of the group in that file, as options of MySQL's own clients."""

import sys

import mysql.connector
from dotenv import dotenv_values

from service.mysql_url import MysqlUrl
from service.primary import find_primary


def main() -> None:
    """Print the options, or why there is no primary."""
    url = MysqlUrl.parse(str(dotenv_values(sys.argv[1])["MYSQL_URL"]))
    try:
        ((host, port),) = find_primary(url).hosts
    except mysql.connector.Error as error:
        sys.exit(str(error))
    print(f"--host={host} --port={port}")


if __name__ == "__main__":
    main()
