#include <cstddef>
std::size_t twice(std::size_t value) { return 2 * value; }
