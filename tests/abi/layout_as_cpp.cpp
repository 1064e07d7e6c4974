#include "tests/abi/layout.c"
