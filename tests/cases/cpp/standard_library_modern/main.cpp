#include <bit>
#include <span>
std::size_t bits(std::span<const unsigned> values) { return values.size() * std::bit_width(values[0]); }
