#include <cstdint>
#include <type_traits>
template <class T>
std::make_unsigned_t<T> magnitude(T value) { return value < 0 ? -value : value; }
template std::uint32_t magnitude(std::int32_t);
