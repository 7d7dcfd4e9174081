"""`python -m stack`: what script/server runs."""

from stack.serve import main

main()
