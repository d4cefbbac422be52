#include <span>
#include <string_view>
#include <vector>
std::size_t count(std::span<const int> values) { return values.size(); }
std::size_t use() { return count(std::vector<int>{1, 2, 3}) + std::string_view("ab").size(); }
