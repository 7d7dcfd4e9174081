"""`python -m stack`, the program behind script/server."""

from stack.serve import main

main()
