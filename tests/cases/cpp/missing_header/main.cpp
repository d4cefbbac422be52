int before;
#include <no_such_header.hpp>
int after = undeclared;
