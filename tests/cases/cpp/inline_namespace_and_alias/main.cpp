#include "units.hpp"
#include <utility>
int main() {
    constexpr auto sum = units::meters{2} + units::meters{3};
    static_assert(sum.count == 5, "five");
    auto pair = std::make_pair(sum, 1);
    return pair.second - 1;
}
