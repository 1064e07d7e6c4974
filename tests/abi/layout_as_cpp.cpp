// The subject is what that C file is in C++.
// NOLINTNEXTLINE(bugprone-suspicious-include)
#include "tests/abi/layout.c"
